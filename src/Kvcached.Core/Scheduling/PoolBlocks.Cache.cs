using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Scheduling;

/// <content>Cached blocks: which are evicted, and who hears of it.</content>
public sealed partial class PoolBlocks
{
    /// <summary>Tags one used block and makes it cached.</summary>
    public BlockFault Cache(int group, BlockId block, ReadOnlySpan<byte> tag, LastUse lastUse)
    {
        WarmVersion++;
        return _groups[group].Cache(block, tag, lastUse);
    }

    /// <summary>Makes used blocks that have tags cached, all or none.</summary>
    public BlockFault Cache(int group, ReadOnlySpan<BlockId> blocks, LastUse lastUse)
    {
        WarmVersion++;
        return _groups[group].Cache(blocks, lastUse);
    }

    /// <summary>Puts cached blocks to use again, all or none.</summary>
    public BlockFault TakeCached(int group, ReadOnlySpan<BlockId> blocks)
    {
        WarmVersion++;
        return _groups[group].TakeCached(blocks);
    }

    /// <summary>Evicts these cached blocks, all or none.</summary>
    public BlockFault Evict(int group, ReadOnlySpan<BlockId> blocks)
    {
        // By way of use, because their tags must still be there when it is certain that all of them go.
        var allocator = _groups[group];
        var fault = allocator.TakeCached(blocks);
        if (fault.IsNone)
        {
            Announce(allocator, blocks);
            allocator.Free(blocks, new LastUse(0, TimeSpan.MinValue));
            WarmVersion++;
        }

        return fault;
    }

    /// <summary>Evicts the least recently used cached blocks of a group, at most so many, and returns how many.</summary>
    public int EvictLeastRecent(int group, int count)
    {
        var allocator = _groups[group];
        var evicted = 0;
        while (evicted < count && allocator.TryPeekLeastRecent(out var oldest))
        {
            ReadOnlySpan<BlockId> one = [oldest];
            Announce(allocator, one);
            allocator.Evict(one);
            evicted++;
        }

        WarmVersion += evicted > 0 ? 1 : 0;
        return evicted;
    }

    /// <summary>
    /// Evicts cached blocks, the least recently used of each group first, until they take no more than so many bytes on any rank. The group that was
    /// just added to loses first. Returns how many were evicted.
    /// </summary>
    public int KeepCachedWithin(long maxBytes, int latestGroup)
    {
        var evicted = 0;
        for (var i = 0; i < _groups.Length; i++)
        {
            var group = (latestGroup + i) % _groups.Length;
            var excess = CachedBytes - maxBytes;
            if (excess <= 0)
            {
                break;
            }

            evicted += EvictLeastRecent(group, (int)Math.Min(int.MaxValue, (excess + _mostBytesPerBlock[group] - 1) / _mostBytesPerBlock[group]));
        }

        return evicted;
    }

    /// <summary>
    /// Makes whole extents of a group warm by evicting: those first that lose the fewest blocks per page, and of equals the longest idle. Pinned ones
    /// stay. Returns the pages made warm.
    /// </summary>
    public int EvictWholeExtents(int group, int pages)
    {
        var allocator = _groups[group];
        var candidates = new WarmExtent[allocator.ExtentCount];
        var count = allocator.CopyEvictable(candidates);
        var made = 0;
        foreach (var candidate in candidates.Take(count)
            .Where(c => !Pins.IsPinned(c.Extent))
            .OrderBy(c => (double)allocator.CountCached(c.Extent) / c.Extent.PageCount).ThenBy(c => c.LastUse.Time))
        {
            if (made >= pages)
            {
                break;
            }

            var cached = CachedOf(allocator, candidate.Extent);
            Announce(allocator, cached);
            allocator.Evict(cached);
            made += candidate.Extent.PageCount;
        }

        WarmVersion += made > 0 ? 1 : 0;
        return made;
    }

    private ReadOnlySpan<BlockId> CachedOf(BlockAllocator allocator, in Extent extent)
    {
        var count = allocator.CountCached(extent);
        if (_evicted.Length < count)
        {
            _evicted = new BlockId[Math.Max(count, _evicted.Length * 2)];
        }

        return _evicted.AsSpan(0, allocator.CopyCached(extent, _evicted));
    }

    private void Announce(BlockAllocator allocator, ReadOnlySpan<BlockId> blocks)
    {
        if (_sink is null)
        {
            return;
        }

        foreach (var block in blocks)
        {
            _sink.Evicting(allocator.Group, block, allocator.TagOf(block));
        }
    }
}
