using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Core.Tests.Sharing;

/// <summary>Who shrinks for whom: rules that hold for any holdings, and the few that can be said in one line.</summary>
public class ShrinkPlanTests
{
    private const long Capacity = 1000;

    private static PoolId Pool(int serial) => PoolId.Create(1, serial);

    private static int Index(PoolId pool) => (int)(pool.Value - Pool(1).Value);

    [Fact]
    public void Choose_OneAboveItsShareOneBelow_AsksTheFormerForWhatIsMissing()
    {
        var ledger = Ledger((900, 0, 1), (50, 0, 1));
        var plan = ShrinkPlan.Choose(200, Pool(2), 250, [new ShrinkCandidate(Pool(1), 0), new ShrinkCandidate(Pool(2), 0)], ledger, ProportionalSharing.Instance);
        Assert.Equal([new ShrinkShare(Pool(1), 200)], plan.Shares.ToArray());
        Assert.Equal(0, plan.MissingBytes);
    }

    [Fact]
    public void Choose_RequesterWouldComeAboveItsShare_AsksNobody()
    {
        var ledger = Ledger((900, 0, 1), (50, 0, 1));
        var plan = ShrinkPlan.Choose(401, Pool(2), 451, [new ShrinkCandidate(Pool(1), 0)], ledger, ProportionalSharing.Instance);
        Assert.Empty(plan.Shares);
        Assert.Equal(401, plan.MissingBytes);
    }

    [Fact]
    public void Choose_HardlyAboveItsShare_LeavesItInPeace()
    {
        var ledger = Ledger((510, 0, 1), (480, 0, 1));
        Assert.Equal(10, ShrinkPlan.Choose(10, Pool(2), 20, [new ShrinkCandidate(Pool(1), 0)], ledger, ProportionalSharing.Instance).MissingBytes);
    }

    [Fact]
    public void Choose_AlreadyLeaving_IsNotAskedForTwice()
    {
        var ledger = Ledger((900, 0, 1), (50, 0, 1));
        var plan = ShrinkPlan.Choose(200, Pool(2), 250, [new ShrinkCandidate(Pool(1), 300)], ledger, ProportionalSharing.Instance);
        Assert.Equal(100, plan.MissingBytes);
    }

    [Fact]
    public void Choose_WeightsDiffer_SharesFollowThem()
    {
        var ledger = Ledger((900, 0, 3), (0, 0, 1));
        Assert.Equal(0, ShrinkPlan.Choose(150, Pool(2), 250, [new ShrinkCandidate(Pool(1), 0)], ledger, ProportionalSharing.Instance).MissingBytes);
        Assert.Equal(151, ShrinkPlan.Choose(151, Pool(2), 251, [new ShrinkCandidate(Pool(1), 0)], ledger, ProportionalSharing.Instance).MissingBytes);
    }

    [Fact]
    public void Choose_Priorities_TheHigherTakesAllFromTheLowerAndNothingTheOtherWay()
    {
        var ledger = Ledger((700, 100, 1), (300, 0, 2), (0, 0, 3));
        var plan = ShrinkPlan.Choose(900, Pool(3), 900, [new ShrinkCandidate(Pool(1), 0), new ShrinkCandidate(Pool(2), 0)], ledger, PrioritySharing.Instance);
        Assert.Equal<ShrinkShare>([new ShrinkShare(Pool(1), 600), new ShrinkShare(Pool(2), 300)], plan.Shares);
        Assert.Equal(0, plan.MissingBytes);
        Assert.Equal(200, ShrinkPlan.Choose(200, Pool(1), 200, [new ShrinkCandidate(Pool(2), 0)], ledger, PrioritySharing.Instance).MissingBytes);
    }

    [Fact]
    public void Choose_EqualPriorities_ShareWhatThoseAboveLeave()
    {
        var ledger = Ledger((600, 0, 1), (0, 0, 1), (400, 0, 2));
        var plan = ShrinkPlan.Choose(300, Pool(2), 300, [new ShrinkCandidate(Pool(1), 0), new ShrinkCandidate(Pool(3), 0)], ledger, PrioritySharing.Instance);
        Assert.Equal<ShrinkShare>([new ShrinkShare(Pool(1), 300)], plan.Shares);
        Assert.Equal(301, ShrinkPlan.Choose(301, Pool(2), 301, [new ShrinkCandidate(Pool(1), 0)], ledger, PrioritySharing.Instance).MissingBytes);
    }

    [Theory]
    [InlineData("proportional")]
    [InlineData("priority")]
    public void Choose_AnyHoldings_NobodyGoesBelowItsShareAndNobodyCanAskBack(string name)
    {
        Assert.True(SharingPolicies.TryFind(name, out var policy));
        var random = new Random(20261125);
        var asked = 0;
        for (var round = 0; round < 20_000; round++)
        {
            var count = random.Next(2, 6);
            var terms = new (long Used, long Floor, double Weight)[count];
            var left = Capacity;
            for (var i = 0; i < count; i++)
            {
                var floor = random.Next(4) == 0 ? random.Next((int)Capacity / (2 * count)) : 0;
                var used = random.NextInt64(left + 1);
                left -= used;
                terms[i] = (used, floor, random.Next(1, 5));
            }

            var ledger = Ledger(terms);
            var requester = random.Next(count);
            var wanted = random.NextInt64(1, Capacity);
            var shortage = random.NextInt64(1, wanted + 1);
            var candidates = Enumerable.Range(0, count).Where(_ => random.Next(5) > 0).Select(i => new ShrinkCandidate(Pool(i + 1), random.Next(3) == 0 ? random.Next(50) : 0)).ToArray();
            var plan = ShrinkPlan.Choose(shortage, Pool(requester + 1), wanted, candidates, ledger, policy);

            Assert.Equal(shortage, plan.Shares.Sum(s => s.ByteCount) + plan.MissingBytes);
            Assert.True(plan.MissingBytes >= 0 && plan.Shares.All(s => s.ByteCount > 0 && s.Pool != Pool(requester + 1)));
            Assert.Equal(plan.Shares.Length, plan.Shares.DistinctBy(s => s.Pool).Count());
            foreach (var share in plan.Shares)
            {
                asked++;
                var held = terms[Index(share.Pool)].Used - share.ByteCount;
                Assert.True(ledger.TryFind(share.Pool, out var entry));
                var fair = policy.ShareBytes(ledger, entry, new ShareDemand(Pool(requester + 1), wanted));
                Assert.True(held >= fair, $"{share.Pool} would come to {held}, below its share of {fair}");
                Assert.Contains(candidates, c => c.Pool == share.Pool);
            }

            if (plan.Shares.IsEmpty || plan.MissingBytes > 0)
            {
                continue;
            }

            // All of it comes true; then none of those who gave can have the requester shrink for it.
            var after = terms.ToArray();
            foreach (var share in plan.Shares)
            {
                after[Index(share.Pool)].Used -= share.ByteCount;
            }

            after[requester].Used += Math.Min(wanted, Capacity - after.Sum(t => t.Used));
            var later = Ledger(after);
            foreach (var share in plan.Shares)
            {
                var back = random.NextInt64(1, Capacity);
                Assert.Empty(ShrinkPlan.Choose(back, share.Pool, back, [new ShrinkCandidate(Pool(requester + 1), 0)], later, policy).Shares);
            }
        }

        Assert.True(asked > 1000, $"only {asked} pools were asked in all rounds");
    }

    private static GpuLedger Ledger(params (long Used, long Floor, double Weight)[] pools)
    {
        var ledger = new GpuLedger(GpuId.Parse("HOST-0"), Capacity, 0);
        for (var i = 0; i < pools.Length; i++)
        {
            Assert.True(ledger.TryAdmit(Pool(i + 1), Capacity, 0, pools[i].Weight, out _));
        }

        for (var i = 0; i < pools.Length; i++)
        {
            if (pools[i].Used > 0)
            {
                Assert.True(ledger.TryReserve(Pool(i + 1), pools[i].Used, out _));
                Assert.True(ledger.TryCommit(Pool(i + 1), pools[i].Used, out _));
            }
        }

        for (var i = 0; i < pools.Length; i++)
        {
            // A floor that others' memory is in is refused, and doesn't matter here.
            ledger.TryChange(Pool(i + 1), Capacity, pools[i].Floor, pools[i].Weight, out _);
        }

        return ledger;
    }
}
