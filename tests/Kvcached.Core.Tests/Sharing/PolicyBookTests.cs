using CsCheck;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Core.Tests.Sharing;

public class PolicyBookTests
{
    private static readonly Epoch Now = new(7, 1);
    private static readonly GpuId Gpu = GpuId.Parse("GPU-a");
    private static readonly GpuId Other = GpuId.Parse("GPU-b");

    [Fact]
    public void Judge_WithoutARevision_TakesTheNextOne()
    {
        var book = new PolicyBook();
        Assert.Equal(1, Set(book, "a", new PolicyChange(MemoryAmount.OfBytes(1), default, 0, 0)).Revision);
        Assert.Equal(2, Set(book, "a", new PolicyChange(MemoryAmount.OfBytes(1), default, 0, 0)).Revision);
        Assert.Equal(1, Set(book, "b", new PolicyChange(MemoryAmount.OfBytes(1), default, 0, 0)).Revision);
        Assert.Equal(3, book.Version);
    }

    [Fact]
    public void Judge_FieldsNotGiven_StayAsTheyAre()
    {
        var book = new PolicyBook();
        Set(book, "a", new PolicyChange(MemoryAmount.OfBytes(8), MemoryAmount.OfPercent(10), 5, 0));
        var policy = Set(book, "a", new PolicyChange(MemoryAmount.OfBytes(9), default, 0, 0));
        Assert.Equal((MemoryAmount.OfBytes(9), MemoryAmount.OfPercent(10), 5), (policy.Limit, policy.Floor, policy.Weight));
        policy = Set(book, "a", new PolicyChange(default, MemoryAmount.AsOpened, PolicyChange.WeightAsOpened, 0));
        Assert.Equal((MemoryAmount.OfBytes(9), MemoryAmount.None, 0), (policy.Limit, policy.Floor, policy.Weight));
    }

    [Fact]
    public void Judge_RevisionThatIsKnown_TellsRepeatsFromConflictsAndStaleOnes()
    {
        var book = new PolicyBook();
        Set(book, "a", new PolicyChange(MemoryAmount.OfBytes(8), default, 0, 4));
        Assert.Equal(RevisionVerdict.Repeated, book.Judge("a", new PolicyChange(MemoryAmount.OfBytes(8), default, 0, 4), [], new Epoch(9, 9), out _));
        Assert.Equal(RevisionVerdict.Conflict, book.Judge("a", new PolicyChange(MemoryAmount.OfBytes(9), default, 0, 4), [], Now, out _));
        Assert.Equal(RevisionVerdict.Stale, book.Judge("a", new PolicyChange(MemoryAmount.OfBytes(8), default, 0, 3), [], Now, out _));
        Assert.Equal(1, book.Version);
    }

    [Fact]
    public void Merge_BooksOfSeveralHostsInAnyOrder_EndsWithTheLatestOfEach()
    {
        var kept = Gen.Select(Gen.Int[0, 5], Gen.Long[1, 4], Gen.Long[1, 4], (name, epoch, revision) => Policy($"p{name}", epoch, revision)).Array[0, 12].Array[1, 5];
        kept.Sample(hosts =>
        {
            var book = new PolicyBook();
            foreach (var host in hosts)
            {
                var before = book.Version;
                Assert.Equal(!book.Merge([.. host]).IsEmpty, book.Version > before);
            }

            foreach (var group in hosts.SelectMany(host => host).GroupBy(policy => policy.Pool))
            {
                Assert.Equal(group.MaxBy(policy => (policy.Epoch.Counter, policy.Revision)), book.Find(group.Key));
            }
        });
    }

    [Fact]
    public void Merge_NonsenseFromADisk_IsPassedOver()
    {
        var book = new PolicyBook();
        Assert.Empty(book.Merge(default));
        Assert.Empty(book.Merge([
            Policy("a", 1, 0), Policy("", 1, 1), Policy("a", 1, 1) with { Limit = MemoryAmount.AsOpened }, Policy("a", 1, 1) with { Weight = -1 },
            Policy("a", 1, 1) with { Floor = MemoryAmount.OfBytes(-1) }, null!, Policy("a", 1, 1) with { OnGpus = default }, Policy("a", 1, 1) with { OnGpus = [null!] },
            Policy("a", 1, 1) with { OnGpus = [new(Gpu, MemoryAmount.AsOpened, default)] }, Policy("a", 1, 1) with { OnGpus = [new(Gpu, default, default), new(Gpu, default, default)] },
        ]));
        Assert.Equal(0, book.Version);
    }

    [Fact]
    public void Set_MoreNamesThanThereIsRoomFor_DropsTheOldestThatIsNotInUse()
    {
        var book = new PolicyBook();
        for (var i = 0; i <= PolicyBook.MaxPolicies; i++)
        {
            book.Set(Policy($"p{i}", 1, i + 1), name => name == "p0");
        }

        Assert.Equal(PolicyBook.MaxPolicies, book.Policies.Length);
        Assert.NotNull(book.Find("p0"));
        Assert.Null(book.Find("p1"));
    }

    [Fact]
    public void TermsOf_LimitBelowTheFloorThatWasAskedFor_LowersTheFloorToo()
    {
        var spec = new Core.Decisions.PoolSpec("a", Shapes.All[0].Geometry, Core.Decisions.PoolTarget.Host, 0, 50, 2);
        var book = new PolicyBook();
        Assert.Equal(new SharingTerms(100, 50, 2), book.TermsOf(spec, Gpu, 100));
        Set(book, "a", new PolicyChange(MemoryAmount.OfPercent(30), default, 9, 0));
        Assert.Equal(new SharingTerms(30, 30, 9), book.TermsOf(spec, Gpu, 100));
        Set(book, "a", new PolicyChange(MemoryAmount.OfBytes(1000), MemoryAmount.OfBytes(10), 0, 0));
        Assert.Equal(new SharingTerms(100, 10, 9), book.TermsOf(spec, Gpu, 100));
    }

    [Fact]
    public void TermsOf_GpusOfTheirOwn_GoOverWhatIsForAll_UntilItIsTakenBack()
    {
        var spec = new Core.Decisions.PoolSpec("a", Shapes.All[0].Geometry, Core.Decisions.PoolTarget.Host, 0, 0, 1);
        var book = new PolicyBook();
        Set(book, "a", new PolicyChange(MemoryAmount.OfBytes(20), default, 0, 0), Gpu, Other, Gpu);
        Set(book, "a", new PolicyChange(MemoryAmount.OfBytes(60), MemoryAmount.OfBytes(10), 5, 0));
        var policy = Set(book, "a", new PolicyChange(MemoryAmount.OfPercent(30), MemoryAmount.OfBytes(5), 0, 0), Other);
        Assert.Equal([new GpuPolicy(Gpu, MemoryAmount.OfBytes(20), MemoryAmount.None), new GpuPolicy(Other, MemoryAmount.OfPercent(30), MemoryAmount.OfBytes(5))], policy.OnGpus.AsEnumerable());
        Assert.Equal((new SharingTerms(20, 10, 5), new SharingTerms(30, 5, 5), new SharingTerms(60, 10, 5)),
            (book.TermsOf(spec, Gpu, 100), book.TermsOf(spec, Other, 100), book.TermsOf(spec, GpuId.Parse("GPU-c"), 100)));

        Set(book, "a", new PolicyChange(MemoryAmount.AsOpened, MemoryAmount.AsOpened, 0, 0), Other);
        Assert.Equal([Gpu], Set(book, "a", new PolicyChange(default, MemoryAmount.None, 6, 0)).OnGpus.Select(on => on.Gpu));
        Assert.Equal(new SharingTerms(60, 10, 6), book.TermsOf(spec, Other, 100));
    }

    [Fact]
    public void Judge_SameRevisionForOtherGpus_IsAConflict()
    {
        var book = new PolicyBook();
        var change = new PolicyChange(MemoryAmount.OfBytes(8), default, 0, 4);
        Set(book, "a", change, Gpu);
        Assert.Equal(RevisionVerdict.Repeated, book.Judge("a", change, [Gpu], new Epoch(9, 9), out _));
        Assert.Equal(RevisionVerdict.Conflict, book.Judge("a", change, [Other], Now, out _));
    }

    private static PoolPolicy Policy(string pool, long epoch, long revision) =>
        new(pool, new Epoch(epoch, 1), revision, MemoryAmount.OfBytes((epoch * 100) + revision), MemoryAmount.None, 0);

    private static PoolPolicy Set(PolicyBook book, string pool, PolicyChange change, params GpuId[] gpus)
    {
        Assert.Equal(RevisionVerdict.Next, book.Judge(pool, change, [.. gpus], Now, out var policy));
        Assert.True(policy.IsSound);
        book.Set(policy, _ => true);
        return policy;
    }
}
