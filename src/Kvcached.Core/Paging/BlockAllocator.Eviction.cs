using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>Cached blocks are evicted least recently used first, or whole extents at a time when memory is to go back.</summary>
public sealed partial class BlockAllocator
{
    private EvictionCandidate[] _candidates = [];

    /// <summary>Makes cached blocks free, all or none: their content is of no use any more.</summary>
    public BlockFault Evict(ReadOnlySpan<BlockId> blocks)
    {
        var fault = TakeOut(blocks, _cached, BlockFaultKind.NotCached);
        if (!fault.IsNone)
        {
            return fault;
        }

        foreach (var block in blocks)
        {
            EvictOne(block.Value);
        }

        return BlockFault.None;
    }

    /// <summary>
    /// Evicts the least recently used cached blocks, as many as the span is long, writes which they were, and returns how many
    /// there were.
    /// </summary>
    public int EvictLeastRecent(Span<BlockId> evicted)
    {
        var count = 0;
        while (count < evicted.Length && _cachedByAge.Oldest is var oldest and >= 0)
        {
            evicted[count++] = new BlockId(oldest);
            _cached.Clear(oldest);
            EvictOne(oldest);
        }

        return count;
    }

    /// <summary>
    /// Makes extents without used blocks warm by evicting their cached ones: those first that lose the fewest blocks per page, and
    /// of equals the longest idle.
    /// </summary>
    /// <param name="pageCount">Stop once the extents made warm have this many pages.</param>
    /// <param name="evicted">Gets the evicted blocks. An extent whose blocks no longer fit is passed over.</param>
    public ExtentEviction EvictExtents(int pageCount, Span<BlockId> evicted)
    {
        var slots = _held.Slots;
        if (_candidates.Length < slots.Length)
        {
            _candidates = new EvictionCandidate[slots.Length * 2];
        }

        var candidates = 0;
        for (var slot = 0; slot < slots.Length; slot++)
        {
            if (slots[slot].CachedCount > 0 && slots[slot].UsedCount == 0)
            {
                _candidates[candidates++] = new EvictionCandidate(
                    slot, slots[slot].CachedCount, _held.ExtentAt(slot).PageCount, slots[slot].LastUse.Time);
            }
        }

        Array.Sort(_candidates, 0, candidates);
        var result = default(ExtentEviction);
        for (var i = 0; i < candidates && result.PageCount < pageCount; i++)
        {
            ref var held = ref _held[_candidates[i].Slot];
            if (held.CachedCount <= evicted.Length - result.BlockCount)
            {
                var count = EvictCachedOf(_candidates[i].Slot, evicted[result.BlockCount..]);
                result = new ExtentEviction(result.PageCount + _held.ExtentAt(_candidates[i].Slot).PageCount, result.ExtentCount + 1, result.BlockCount + count);
            }
        }

        return result;
    }

    /// <summary>Frees a block that was taken out of the cached ones, but still counts as cached.</summary>
    private void EvictOne(int block)
    {
        var slot = _slotOfPage[PageOf(block)];
        ref var held = ref _held[slot];
        _cachedByAge.Remove(block);
        held.CachedCount--;
        CachedBlockCount--;
        FreeBlockCount++;
        PutBack(ref held, block);
        _held.Update(slot);
    }

    private int EvictCachedOf(int slot, Span<BlockId> evicted)
    {
        var count = 0;
        ref var held = ref _held[slot];
        for (var block = _cached.NextFrom(held.FirstBlock, held.EndBlock); block >= 0; block = _cached.NextFrom(block + 1, held.EndBlock))
        {
            _cached.Clear(block);
            EvictOne(block);
            if (count < evicted.Length)
            {
                evicted[count++] = new BlockId(block);
            }
        }

        return count;
    }

    private readonly record struct EvictionCandidate(int Slot, int CachedCount, int PageCount, TimeSpan LastUsed)
        : IComparable<EvictionCandidate>
    {
        public int CompareTo(EvictionCandidate other)
        {
            var byCost = ((long)CachedCount * other.PageCount).CompareTo((long)other.CachedCount * PageCount);
            return byCost != 0 ? byCost : LastUsed.CompareTo(other.LastUsed);
        }
    }
}
