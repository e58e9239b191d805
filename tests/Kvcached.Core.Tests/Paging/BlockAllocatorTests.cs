using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Tests.Paging;

public sealed class BlockAllocatorTests
{
    private static readonly LastUse Now = new(5, TimeSpan.FromSeconds(7));

    // Pages of 4 blocks; extents of 2 pages.
    private readonly BlockAllocator _allocator = new(new PageSlots(4096, 1024), 16);

    private static Extent Extent(int index, uint generation = 1) => new(0, new PageId(index * 2), 1, generation);

    private static BlockId[] Ids(params int[] blocks) => [.. blocks.Select(block => new BlockId(block))];

    private BlockId[] Allocate(int count)
    {
        var blocks = new BlockId[count];
        Assert.True(_allocator.TryAllocate(blocks));
        return blocks;
    }

    private void Add(params int[] indices) =>
        Assert.All(indices, index => Assert.Equal(ExtentFault.None, _allocator.AddExtent(Extent(index), TimeSpan.FromSeconds(index))));

    private void CacheAll(BlockId[] blocks) =>
        Assert.All(blocks, block => Assert.True(_allocator.Cache(block, [(byte)block.Value], Now).IsNone));

    [Fact]
    public void TryAllocate_MoreThanFree_NothingHandedOut()
    {
        Add(0);
        var blocks = new BlockId[9];
        Assert.False(_allocator.TryAllocate(blocks));
        Assert.Equal((8, 0), (_allocator.FreeBlockCount, _allocator.UsedBlockCount));
        Assert.Equal(Ids(0, 1, 2, 3, 4, 5, 6, 7), Allocate(8));
        Assert.False(_allocator.TryAllocate(blocks.AsSpan(0, 1)));
        Assert.True(_allocator.TryAllocate([]));
    }

    [Fact]
    public void TryAllocate_SeveralExtents_FullestFirstAndWarmLast()
    {
        Add(0, 1, 2);
        var all = Allocate(24);

        // Extent 0 keeps 1 block, extent 1 keeps 6, extent 2 none.
        Assert.True(_allocator.Free([.. all.Where(block => block.Value is (>= 1 and < 8) or 8 or 9 or >= 16)], Now).IsNone);
        Assert.Equal(Ids(8, 9), Allocate(2));
        Assert.Equal(Ids(1, 2, 3, 4, 5, 6, 7), Allocate(7));
        Assert.Equal(Ids(16), Allocate(1));
    }

    [Fact]
    public void TryAllocate_SeveralWarm_TakesTheOneThatEmptiedLast()
    {
        Add(0, 1, 2);
        var all = Allocate(24);
        _allocator.Free([.. all.Where(block => block.Value >= 16)], Now);
        _allocator.Free([.. all.Where(block => block.Value is >= 8 and < 16)], Now);
        Assert.Equal(Ids(8), Allocate(1));
    }

    [Fact]
    public void Free_Twice_DoubleFreeAndNothingChanged()
    {
        Add(0);
        var blocks = Allocate(4);
        Assert.Equal(new BlockFault(BlockFaultKind.DoubleFree, 2), _allocator.Free([blocks[0], blocks[1], blocks[0]], Now));
        Assert.Equal((4, 4), (_allocator.UsedBlockCount, _allocator.FreeBlockCount));
        Assert.True(_allocator.Free(blocks, Now).IsNone);
        Assert.Equal(new BlockFault(BlockFaultKind.DoubleFree, 0), _allocator.Free(blocks, Now));
        Assert.Equal(8, _allocator.FreeBlockCount);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(64)]
    [InlineData(int.MinValue)]
    [InlineData(int.MaxValue)]
    [InlineData(8)]
    public void Free_NeverGranted_Foreign(int block)
    {
        Add(0);
        var used = Allocate(1)[0];
        Assert.Equal(new BlockFault(BlockFaultKind.Foreign, 1), _allocator.Free([used, new BlockId(block)], Now));
        Assert.True(_allocator.IsUsed(used));
    }

    [Fact]
    public void Free_AcrossTwoPages_Foreign()
    {
        var allocator = new BlockAllocator(new PageSlots(100, 30), 8);
        Assert.Equal(ExtentFault.None, allocator.AddExtent(new Extent(0, new PageId(0), 3, 1), default));
        var blocks = new BlockId[allocator.FreeBlockCount];
        Assert.True(allocator.TryAllocate(blocks));
        Assert.DoesNotContain(new BlockId(3), blocks);
        Assert.Equal(new BlockFault(BlockFaultKind.Foreign, 0), allocator.Free(Ids(3), Now));
    }

    [Fact]
    public void Free_ExtentGivenUp_Stale()
    {
        Add(0, 1);
        var blocks = Allocate(8);
        Assert.True(_allocator.Free(blocks, Now).IsNone);
        Assert.Equal(GiveUpResult.GivenUp, _allocator.TryGiveUp(Extent(blocks[0].Value / 8), evictCached: false, out _));
        Assert.Equal(new BlockFault(BlockFaultKind.Stale, 0), _allocator.Free(blocks, Now));
    }

    [Fact]
    public void Free_Cached_DoubleFree()
    {
        Add(0);
        var blocks = Allocate(1);
        CacheAll(blocks);
        Assert.Equal(BlockFaultKind.DoubleFree, _allocator.Free(blocks, Now).Kind);
        Assert.Equal(1, _allocator.CachedBlockCount);
    }

    [Fact]
    public void AddExtent_OverlappingForeignOrMalformed_Refused()
    {
        Add(1);
        Assert.Equal(ExtentFault.Overlaps, _allocator.AddExtent(Extent(1), default));
        Assert.Equal(ExtentFault.Overlaps, _allocator.AddExtent(Extent(1, 2), default));
        Assert.Equal(ExtentFault.Overlaps, _allocator.AddExtent(new Extent(0, new PageId(0), 3, 2), default));
        Assert.Equal(ExtentFault.Overlaps, _allocator.AddExtent(new Extent(0, new PageId(3), 0, 2), default));
        Assert.Equal(ExtentFault.Foreign, _allocator.AddExtent(Extent(0) with { Group = 1 }, default));
        Assert.Equal(ExtentFault.Malformed, _allocator.AddExtent(Extent(0) with { First = new PageId(1) }, default));
        Assert.Equal(ExtentFault.Malformed, _allocator.AddExtent(Extent(8), default));
        Assert.Equal((2, 8), (_allocator.HeldPageCount, _allocator.FreeBlockCount));
    }

    [Fact]
    public void TryGiveUp_UsedCachedStaleOrNotHeld_SaysWhich()
    {
        Add(0);
        var blocks = Allocate(2);
        Assert.Equal(GiveUpResult.InUse, _allocator.TryGiveUp(Extent(0), evictCached: true, out _));
        CacheAll(blocks);
        Assert.Equal(GiveUpResult.Cached, _allocator.TryGiveUp(Extent(0), evictCached: false, out _));
        Assert.Equal(GiveUpResult.Stale, _allocator.TryGiveUp(Extent(0, 2), evictCached: true, out _));
        Assert.Equal(GiveUpResult.Stale, _allocator.TryGiveUp(new Extent(0, new PageId(1), 0, 1), evictCached: true, out _));
        Assert.Equal(GiveUpResult.Stale, _allocator.TryGiveUp(new Extent(0, new PageId(0), 2, 1), evictCached: true, out _));
        Assert.Equal(GiveUpResult.NotHeld, _allocator.TryGiveUp(Extent(1), evictCached: true, out _));
        Assert.Equal(GiveUpResult.NotHeld, _allocator.TryGiveUp(Extent(0) with { Order = 77 }, evictCached: true, out _));
        Assert.Equal(2, _allocator.CachedBlockCount);
        Assert.Equal(GiveUpResult.GivenUp, _allocator.TryGiveUp(Extent(0), evictCached: true, out var lastUse));
        Assert.Equal(Now, lastUse);
        Assert.Equal((0, 0, 0, 0), (_allocator.HeldPageCount, _allocator.FreeBlockCount, _allocator.CachedBlockCount, _allocator.TaggedBlockCount));
        Assert.Equal(GiveUpResult.NotHeld, _allocator.TryGiveUp(Extent(0), evictCached: true, out _));
    }

    [Fact]
    public void TryGiveUp_StepsOfSeveralFrees_TheLatestOfEachKind()
    {
        Add(0);
        var blocks = Allocate(3);
        _allocator.Free(blocks.AsSpan(0, 1), new LastUse(9, TimeSpan.FromSeconds(1)));
        _allocator.Free(blocks.AsSpan(1, 1), new LastUse(4, TimeSpan.FromSeconds(3)));
        _allocator.Free(blocks.AsSpan(2, 1), new LastUse(6, TimeSpan.FromSeconds(2)));
        Assert.Equal(GiveUpResult.GivenUp, _allocator.TryGiveUp(Extent(0), evictCached: false, out var lastUse));
        Assert.Equal(new LastUse(9, TimeSpan.FromSeconds(3)), lastUse);
    }

    [Fact]
    public void CopyWarm_OnlyExtentsWithoutUsedOrCachedBlocks()
    {
        Add(0, 1, 2);
        var all = Allocate(24).OrderBy(block => block.Value).ToArray();
        _allocator.Free(all.AsSpan(0, 8), Now);
        CacheAll(all[8..9]);
        _allocator.Free(all.AsSpan(9, 15), new LastUse(6, TimeSpan.FromSeconds(8)));
        var warm = new WarmExtent[4];
        Assert.Equal(2, _allocator.CopyWarm(warm));
        Assert.Equal([new WarmExtent(Extent(0), Now), new WarmExtent(Extent(2), new LastUse(6, TimeSpan.FromSeconds(8)))], warm[..2].OrderBy(w => w.Extent.First));
        Assert.Equal(1, _allocator.CopyWarm(warm.AsSpan(0, 1)));
        Assert.Equal(2, _allocator.WarmExtentCount);
        Assert.Equal(1, _allocator.EvictLeastRecent(new BlockId[3]));
        Assert.Equal(3, _allocator.CopyWarm(warm));
    }

    [Fact]
    public void Cache_TakenAgain_KeepsTagUntilFreed()
    {
        Add(0);
        var block = Allocate(1)[0];
        byte[] tag = [1, 2, 3];
        Assert.True(_allocator.Cache(block, tag, Now).IsNone);
        Assert.Equal((1, 0), (_allocator.CachedBlockCount, _allocator.UsedBlockCount));
        Assert.True(_allocator.TakeCached([block]).IsNone);
        Assert.Equal(tag, _allocator.TagOf(block));
        Assert.True(_allocator.Cache([block], Now).IsNone);
        Assert.True(_allocator.TakeCached([block]).IsNone);
        Assert.True(_allocator.Free([block], Now).IsNone);
        Assert.Equal(0, _allocator.TaggedBlockCount);
        Assert.Empty(_allocator.TagOf(block).ToArray());
    }

    [Fact]
    public void TakeCached_OneBad_NoneTaken()
    {
        Add(0);
        var blocks = Allocate(3);
        CacheAll(blocks[..2]);
        Assert.Equal(new BlockFault(BlockFaultKind.NotCached, 2), _allocator.TakeCached(blocks));
        Assert.Equal(new BlockFault(BlockFaultKind.NotCached, 2), _allocator.TakeCached([blocks[0], blocks[1], blocks[0]]));
        Assert.Equal(new BlockFault(BlockFaultKind.Foreign, 0), _allocator.TakeCached(Ids(63)));
        Assert.Equal(2, _allocator.CachedBlockCount);
        Assert.True(_allocator.TakeCached(blocks.AsSpan(0, 2)).IsNone);
    }

    [Fact]
    public void Cache_Untagged_RefusedAndStillUsed()
    {
        Add(0);
        var blocks = Allocate(2);
        Assert.True(_allocator.SetTag(blocks[0], [1]).IsNone);
        Assert.Equal(new BlockFault(BlockFaultKind.NotTagged, 1), _allocator.Cache(blocks, Now));
        Assert.Equal(2, _allocator.UsedBlockCount);
        Assert.True(_allocator.Free(blocks, Now).IsNone);
    }

    [Fact]
    public void SetTag_BadTagOrBlock_Refused()
    {
        Add(0);
        var block = Allocate(1)[0];
        Assert.Equal(BlockFaultKind.BadTag, _allocator.SetTag(block, []).Kind);
        Assert.Equal(BlockFaultKind.BadTag, _allocator.SetTag(block, new byte[65]).Kind);
        Assert.Equal(BlockFaultKind.BadTag, _allocator.Cache(block, new byte[65], Now).Kind);
        Assert.Equal(BlockFaultKind.DoubleFree, _allocator.SetTag(new BlockId(1), [1]).Kind);
        Assert.Equal(BlockFaultKind.Foreign, _allocator.SetTag(new BlockId(-1), [1]).Kind);
        Assert.True(_allocator.SetTag(block, new byte[64]).IsNone);
        Assert.True(_allocator.SetTag(block, [7]).IsNone);
        Assert.Equal([7], _allocator.TagOf(block).ToArray());
        Assert.Equal(1, _allocator.TaggedBlockCount);
        Assert.True(_allocator.IsUsed(block));
    }

    [Fact]
    public void EvictLeastRecent_TouchedBlocks_GoLast()
    {
        Add(0);
        var blocks = Allocate(4);
        CacheAll(blocks);
        Assert.True(_allocator.Touch(blocks[0]));
        Assert.False(_allocator.Touch(new BlockId(7)));
        var evicted = new BlockId[3];
        Assert.Equal(3, _allocator.EvictLeastRecent(evicted));
        Assert.Equal(blocks[1..4], evicted);
        Assert.Equal((1, 7), (_allocator.CachedBlockCount, _allocator.FreeBlockCount));
        Assert.Equal(1, _allocator.EvictLeastRecent(evicted));
        Assert.Equal(0, _allocator.EvictLeastRecent(evicted));
    }

    [Fact]
    public void EvictExtents_CheapestWholeExtentsFirst()
    {
        Add(0, 1, 2, 3);
        var all = Allocate(32);
        CacheAll([.. all.Where(block => block.Value is < 3 or 8 or 16 or 17 or 24)]);
        _allocator.Free([.. all.Where(block => !_allocator.IsCached(block) && block.Value != 9)], Now);

        // Extent 3 loses 1 block, 2 loses 2, 0 loses 3; extent 1 is in use.
        var evicted = new BlockId[8];
        Assert.Equal(new ExtentEviction(4, 2, 3), _allocator.EvictExtents(3, evicted));
        Assert.Equal(Ids(24, 16, 17), evicted[..3]);
        Assert.Equal(2, _allocator.WarmExtentCount);
        Assert.Equal(default, _allocator.EvictExtents(100, evicted.AsSpan(0, 2)));
        Assert.Equal(new ExtentEviction(2, 1, 3), _allocator.EvictExtents(100, evicted));
        Assert.True(_allocator.IsCached(new BlockId(8)));
    }

    [Fact]
    public void ReleaseAllUsed_TaggedBecomeCached_OthersFree()
    {
        Add(0, 1);
        var blocks = Allocate(10);
        Assert.True(_allocator.SetTag(blocks[2], [2]).IsNone);
        Assert.True(_allocator.SetTag(blocks[9], [9]).IsNone);
        Assert.Equal(10, _allocator.ReleaseAllUsed(Now));
        Assert.Equal((0, 2, 14), (_allocator.UsedBlockCount, _allocator.CachedBlockCount, _allocator.FreeBlockCount));
        var tagged = new Dictionary<BlockId, byte>();
        foreach (var entry in _allocator.EnumerateTagged())
        {
            tagged.Add(entry.Block, entry.Tag[0]);
        }

        Assert.Equal(new Dictionary<BlockId, byte> { [blocks[2]] = 2, [blocks[9]] = 9 }, tagged);
    }

    [Fact]
    public void RestoreCached_FreeBlock_CachedAndNotHandedOut()
    {
        Add(0);
        Assert.True(_allocator.RestoreCached(new BlockId(5), [5], Now).IsNone);
        Assert.Equal(BlockFaultKind.NotFree, _allocator.RestoreCached(new BlockId(5), [5], Now).Kind);
        Assert.Equal(BlockFaultKind.Foreign, _allocator.RestoreCached(new BlockId(9), [5], Now).Kind);
        Assert.Equal(BlockFaultKind.BadTag, _allocator.RestoreCached(new BlockId(4), [], Now).Kind);
        Assert.Equal((0, 1, 7), (_allocator.UsedBlockCount, _allocator.CachedBlockCount, _allocator.FreeBlockCount));
        Assert.Equal(Ids(0, 1, 2, 3, 4, 6, 7), Allocate(7));
        Assert.True(_allocator.TakeCached(Ids(5)).IsNone);
    }

    [Fact]
    public void SteadyState_NoManagedMemoryAllocated()
    {
        Add(0, 1, 2, 3);
        var blocks = new BlockId[16];
        var evicted = new BlockId[16];
        void Round()
        {
            Assert.True(_allocator.TryAllocate(blocks));
            Assert.True(_allocator.Cache(blocks[0], [1, 2, 3], Now).IsNone);
            Assert.True(_allocator.Free(blocks.AsSpan(1), Now).IsNone);
            Assert.Equal(1, _allocator.EvictExtents(1, evicted).BlockCount);
        }

        Round();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
        {
            _allocator.TryAllocate(blocks);
            _allocator.Cache(blocks[0], [1, 2, 3], Now);
            _allocator.Free(blocks.AsSpan(1), Now);
            _allocator.EvictExtents(1, evicted);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Counts_OfBytes_PerBuffer()
    {
        Add(0, 3);
        Allocate(5);
        Assert.Equal((5 * 1024L, 4 * 4096L), (_allocator.LiveBytesPerBuffer, _allocator.HeldBytesPerBuffer));
        var extents = new Extent[4];
        Assert.Equal(2, _allocator.CopyExtents(extents));
        Assert.True(_allocator.Holds(Extent(3)) && !_allocator.Holds(Extent(3, 2)) && !_allocator.Holds(Extent(1)));
    }

    [Fact]
    public void Constructor_SlotsWithPagesWithoutABlock_Refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new BlockAllocator(new PageSlots(100, 75), 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => new BlockAllocator(default, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => new BlockAllocator(new PageSlots(100, 50), 0));
    }
}
