using System.Collections.Immutable;

namespace Kvcached.Client;

/// <content>Counts.</content>
public sealed partial class KvPool
{
    /// <summary>Counts of this moment.</summary>
    public KvPoolStats GetStats()
    {
        lock (_lock)
        {
            var groups = _blocks.Groups;
            return new KvPoolStats(
                _blocks.MappedPageCount,
                Enumerable.Range(0, groups.Length).Sum(_blocks.WarmPagesOf),
                groups.Sum(b => (long)b.UsedBlockCount),
                groups.Sum(b => (long)b.CachedBlockCount),
                groups.Sum(b => (long)b.FreeBlockCount),
                PerRank(b => b.HeldPageCount, isPages: true),
                PerRank(b => b.UsedBlockCount, isPages: false),
                _grants, _refusals, _revokedExtents, _returnedExtents, _evictions.Total, _blocks.Pins.Count);
        }
    }

    private ImmutableArray<long> PerRank(Func<Core.Paging.BlockAllocator, long> count, bool isPages) =>
    [
        .. _layouts.Select(layout => _blocks.Groups.Sum(b =>
            count(b) * (isPages ? layout.ShapeOf(b.Group).BytesPerPageId : layout.ShapeOf(b.Group).BytesPerBlock))),
    ];
}
