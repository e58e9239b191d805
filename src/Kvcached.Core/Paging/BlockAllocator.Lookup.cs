using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>Questions about what is held and cached; they change nothing.</summary>
public sealed partial class BlockAllocator
{
    /// <summary>The extent held that has this page, if any.</summary>
    public bool TryFindExtent(PageId page, out Extent extent)
    {
        var slot = (uint)page.Value < (uint)_slotOfPage.Length ? _slotOfPage[page.Value] : NeverHeld;
        extent = slot >= 0 ? _held.ExtentAt(slot) : default;
        return slot >= 0;
    }

    /// <summary>The extent held that has this block, if any.</summary>
    public bool TryFindExtent(BlockId block, out Extent extent)
    {
        extent = default;
        return (uint)block.Value < (uint)BlockIdCount && TryFindExtent(new PageId(PageOf(block.Value)), out extent);
    }

    /// <summary>The least recently used cached block, if any: the next that would be evicted.</summary>
    public bool TryPeekLeastRecent(out BlockId block)
    {
        block = new BlockId(_cachedByAge.Oldest);
        return block.Value >= 0;
    }

    /// <summary>Copies extents that have cached blocks and no used one, as many as fit, and returns how many. In no order.</summary>
    public int CopyEvictable(Span<WarmExtent> destination)
    {
        var count = 0;
        for (var slot = 0; slot < _held.Slots.Length && count < destination.Length; slot++)
        {
            ref var held = ref _held[slot];
            if (held.CachedCount > 0 && held.UsedCount == 0)
            {
                destination[count++] = new WarmExtent(_held.ExtentAt(slot), held.LastUse);
            }
        }

        return count;
    }

    /// <summary>Copies the cached blocks of an extent that is held, as many as fit, and returns how many.</summary>
    public int CopyCached(in Extent extent, Span<BlockId> destination)
    {
        var count = 0;
        if (FindSlot(extent, out var slot) && _held.ExtentAt(slot) == extent)
        {
            ref var held = ref _held[slot];
            for (var block = _cached.NextFrom(held.FirstBlock, held.EndBlock);
                block >= 0 && count < destination.Length;
                block = _cached.NextFrom(block + 1, held.EndBlock))
            {
                destination[count++] = new BlockId(block);
            }
        }

        return count;
    }

    /// <summary>Cached blocks of an extent that is held; 0 for any other.</summary>
    public int CountCached(in Extent extent) => FindSlot(extent, out var slot) && _held.ExtentAt(slot) == extent ? _held[slot].CachedCount : 0;
}
