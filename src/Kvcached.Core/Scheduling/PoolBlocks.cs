using System.Collections.Immutable;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Scheduling;

/// <summary>
/// The blocks of all KV groups of one pool in its engine's process, and what may leave of its extents. Not thread-safe: the owner holds a lock
/// around each call, so that giving up and handing out never overlap.
/// </summary>
public sealed partial class PoolBlocks
{
    private readonly ImmutableArray<BlockAllocator> _groups;
    private readonly ImmutableArray<long> _mostBytesPerBlock;
    private readonly IEvictionSink? _sink;
    private BlockId[] _evicted = new BlockId[64];

    /// <summary>The blocks of a pool that has nothing mapped.</summary>
    /// <param name="geometry">Its shape, which <see cref="GeometryRules"/> accepts.</param>
    /// <param name="sink">Hears of every block that is evicted; may be null.</param>
    public PoolBlocks(PoolGeometry geometry, IEvictionSink? sink = null)
    {
        ArgumentNullException.ThrowIfNull(geometry);
        _groups = [.. geometry.VirtualPageCounts.Select((pages, group) => new BlockAllocator(geometry.SlotsOf(group), pages, group))];
        _mostBytesPerBlock = [.. Enumerable.Range(0, _groups.Length).Select(g => geometry.Ranks.Max(rank => rank.Groups[g].BytesPerBlock))];
        _sink = sink;
    }

    public int GroupCount => _groups.Length;

    public ImmutableArray<BlockAllocator> Groups => _groups;

    public ExtentPins Pins { get; } = new();

    /// <summary>Rises whenever which extents are warm may have changed.</summary>
    public long WarmVersion { get; private set; }

    public int MappedPageCount => _groups.Sum(g => g.HeldPageCount);

    /// <summary>Bytes of all cached blocks on the rank where they take most.</summary>
    public long CachedBytes
    {
        get
        {
            var bytes = 0L;
            for (var group = 0; group < _groups.Length; group++)
            {
                bytes += _groups[group].CachedBlockCount * _mostBytesPerBlock[group];
            }

            return bytes;
        }
    }

    /// <summary>Takes extents that every rank has mapped. Those that make no sense here, or are held already, are passed over.</summary>
    public void Add(ImmutableArray<Extent> extents, TimeSpan now)
    {
        foreach (var extent in extents)
        {
            if (IsGroup(extent.Group))
            {
                _groups[extent.Group].AddExtent(extent, now);
                _leaving.Remove(extent);
            }
        }

        WarmVersion++;
    }

    public bool TryAllocate(int group, Span<BlockId> blocks)
    {
        var isAllocated = _groups[group].TryAllocate(blocks);
        WarmVersion += isAllocated ? 1 : 0;
        return isAllocated;
    }

    /// <summary>Allocates, evicting the least recently used cached blocks when free ones don't suffice. False, and nothing evicted, when not even that does.</summary>
    public bool TryAllocateEvicting(int group, Span<BlockId> blocks)
    {
        var allocator = _groups[group];
        var missing = blocks.Length - allocator.FreeBlockCount;
        if (missing > 0)
        {
            if (missing > allocator.CachedBlockCount)
            {
                return false;
            }

            EvictLeastRecent(group, missing);
        }

        return TryAllocate(group, blocks);
    }

    public BlockFault Free(int group, ReadOnlySpan<BlockId> blocks, LastUse lastUse)
    {
        WarmVersion++;
        return _groups[group].Free(blocks, lastUse);
    }

    private bool IsGroup(int group) => (uint)group < (uint)_groups.Length;
}
