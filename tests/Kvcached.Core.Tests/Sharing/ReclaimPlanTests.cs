using CsCheck;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sharing;

namespace Kvcached.Core.Tests.Sharing;

public sealed class ReclaimPlanTests
{
    private static GpuLedger Ledger(params (int Pool, long Used, long Floor)[] pools)
    {
        var ledger = new GpuLedger(GpuId.Parse("GPU-a"), 10_000, 0);
        foreach (var (pool, used, floor) in pools)
        {
            Assert.True(ledger.TryAdmit(new PoolId(pool), 10_000, floor, 1, out _));
            Assert.True(ledger.TryRestore(new PoolId(pool), used, 0, out _));
        }

        return ledger;
    }

    private static WarmReport Warm(int pool, int page, long bytes, int idleSince) =>
        new(new PoolId(pool), new Extent(0, new PageId(page), 0, 1), bytes, TimeSpan.FromSeconds(idleSince));

    [Fact]
    public void Choose_SeveralPools_IdleLongestFirst()
    {
        var reports = new[] { Warm(1, 0, 10, 30), Warm(2, 0, 10, 10), Warm(1, 1, 10, 20), Warm(3, 0, 10, 1) };
        var plan = ReclaimPlan.Choose(20, new PoolId(3), reports, Ledger((1, 50, 0), (2, 50, 0), (3, 50, 0)));
        Assert.Equal([reports[1], reports[2]], plan.Revocations.ToArray());
        Assert.Equal((20, 0), (plan.ReclaimedBytes, plan.MissingBytes));
    }

    [Fact]
    public void Choose_PoolAtItsFloor_LeftAlone()
    {
        var reports = new[] { Warm(1, 0, 10, 1), Warm(1, 1, 4, 2), Warm(2, 0, 10, 3) };
        var plan = ReclaimPlan.Choose(20, new PoolId(9), reports, Ledger((1, 45, 40), (2, 50, 0)));
        Assert.Equal([reports[1], reports[2]], plan.Revocations.ToArray());
        Assert.Equal((14, 6), (plan.ReclaimedBytes, plan.MissingBytes));
    }

    [Fact]
    public void Choose_LargeExtentSuffices_SmallOnesAreKept()
    {
        var reports = new[] { Warm(1, 0, 5, 1), Warm(1, 1, 5, 2), Warm(1, 2, 20, 3) };
        var plan = ReclaimPlan.Choose(20, new PoolId(9), reports, Ledger((1, 50, 0)));
        Assert.Equal([reports[2]], plan.Revocations.ToArray());
    }

    [Fact]
    public void Choose_UnknownPoolOrSameExtentTwice_NotCounted()
    {
        var reports = new[] { Warm(7, 0, 50, 1), Warm(1, 0, 10, 1), Warm(1, 0, 10, 1), Warm(1, 1, -5, 0) };
        var plan = ReclaimPlan.Choose(20, new PoolId(9), reports, Ledger((1, 50, 0)));
        Assert.Equal([reports[1]], plan.Revocations.ToArray());
        Assert.Equal(10, plan.MissingBytes);
    }

    [Fact]
    public void Choose_NoShortage_Nothing() =>
        Assert.Empty(ReclaimPlan.Choose(0, new PoolId(9), [Warm(1, 0, 10, 1)], Ledger((1, 50, 0))).Revocations);

    [Fact]
    public void Choose_AnyReports_FloorsHoldAndNothingIsTakenInVain() =>
        Gen.Select(
            Gen.Select(Gen.Long[0, 300], Gen.Long[0, 200]).Array[3],
            Gen.Select(Gen.Int[1, 4], Gen.Int[0, 9], Gen.Long[1, 60], Gen.Int[0, 50]).Array[0, 25],
            Gen.Long[0, 400])
        .Sample((pools, warm, shortage) =>
        {
            var ledger = Ledger([.. pools.Select((pool, i) => (i + 1, pool.Item1, pool.Item2))]);
            var reports = warm.Select(w => Warm(w.Item1, w.Item2, w.Item3, w.Item4)).DistinctBy(w => (w.Pool, w.Extent)).ToArray();
            var requester = new PoolId(2);
            var plan = ReclaimPlan.Choose(shortage, requester, reports, ledger);
            Assert.Equal(plan.Revocations.Sum(report => report.ByteCount), plan.ReclaimedBytes);
            Assert.Equal(Math.Max(0, shortage - plan.ReclaimedBytes), plan.MissingBytes);
            Assert.Equal(plan.Revocations.Length, plan.Revocations.Distinct().Count());
            Assert.Equal(plan.Revocations.OrderBy(report => report.IdleSince), plan.Revocations);
            Assert.All(plan.Revocations, report => Assert.True(report.Pool != requester && reports.Contains(report)));
            foreach (var entry in ledger.Entries)
            {
                var taken = plan.Revocations.Where(report => report.Pool == entry.Pool).Sum(report => report.ByteCount);
                Assert.True(taken == 0 || entry.UsedBytes - taken >= entry.FloorBytes);

                // What is missing could not have been had from anyone.
                var spare = entry.UsedBytes - entry.FloorBytes - taken;
                Assert.True(plan.MissingBytes == 0 || entry.Pool == requester
                    || reports.Except(plan.Revocations).All(report => report.Pool != entry.Pool || report.ByteCount > spare));
            }

            Assert.All(plan.Revocations, report => Assert.True(plan.ReclaimedBytes - report.ByteCount < shortage));
        }, iter: 2000);
}
