using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Scheduling;

namespace Kvcached.Core.Tests.Scheduling;

public sealed class PoolBlocksTests
{
    private readonly PoolBlocks _pool = new(TestGeometry.Create());

    [Fact]
    public void EvictWholeExtents_TwoThatDiffer_TakesTheOneThatLosesFewestBlocksPerPage()
    {
        _pool.Add([Extent(0, order: 1, 1), Extent(2, order: 0, 2)], TimeSpan.Zero);
        Cache(0, 1, 2, 3, 16);
        Assert.Equal(1, _pool.EvictWholeExtents(0, pages: 1));
        Assert.False(_pool.Groups[0].IsCached(new BlockId(16)));
        Assert.True(_pool.Groups[0].IsCached(new BlockId(0)));
    }

    [Fact]
    public void KeepCachedWithin_MoreThanAllowed_EvictsTheLeastRecentlyUsed()
    {
        _pool.Add([Extent(0, order: 0, 1)], TimeSpan.Zero);
        Cache(3, 1, 2);
        _pool.Groups[0].Touch(new BlockId(3));
        var bytesPerBlock = _pool.CachedBytes / 3;
        Assert.Equal(1, _pool.KeepCachedWithin(2 * bytesPerBlock, latestGroup: 0));
        Assert.False(_pool.Groups[0].IsCached(new BlockId(1)));
        Assert.True(_pool.Groups[0].IsCached(new BlockId(3)));
    }

    [Fact]
    public void TakeWarm_IdleForDifferentTimes_TakesOnlyThoseThatWereLongEnough()
    {
        _pool.Add([Extent(0, order: 0, 1)], TimeSpan.FromSeconds(1));
        _pool.Add([Extent(1, order: 0, 2)], TimeSpan.FromSeconds(4));
        var taken = _pool.TakeWarm(0, warmPagesToKeep: 0, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(7));
        Assert.Equal(Extent(0, order: 0, 1), Assert.Single(taken.Extents));
        Assert.Equal(EngineStep.None, taken.Fence);
    }

    [Fact]
    public void GiveUp_ExtentUsedInTwoSteps_IsFencedByTheLatest()
    {
        _pool.Add([Extent(0, order: 0, 1)], TimeSpan.Zero);
        var blocks = new BlockId[2];
        Assert.True(_pool.TryAllocate(0, blocks));
        Assert.True(_pool.Free(0, [blocks[0]], new LastUse(9, TimeSpan.Zero)).IsNone);
        Assert.True(_pool.Free(0, [blocks[1]], new LastUse(7, TimeSpan.Zero)).IsNone);
        Assert.Equal(new EngineStep(9), _pool.GiveUp([Extent(0, order: 0, 1)], evictCached: false).Fence);
    }

    private static Extent Extent(int first, byte order, uint generation) => new(0, new PageId(first), order, generation);

    private void Cache(params int[] blocks)
    {
        var all = new BlockId[_pool.Groups[0].FreeBlockCount];
        Assert.True(_pool.TryAllocate(0, all));
        foreach (var block in blocks)
        {
            Assert.True(_pool.Cache(0, new BlockId(block), [1], default).IsNone);
        }

        Assert.True(_pool.Free(0, [.. all.Where(b => !blocks.Contains(b.Value))], default).IsNone);
    }
}
