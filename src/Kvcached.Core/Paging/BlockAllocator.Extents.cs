using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>Extents come when they are mapped and go when the coordinator revokes them or they have been idle for long.</summary>
public sealed partial class BlockAllocator
{
    /// <summary>
    /// Takes an extent that every rank has mapped; its blocks are free. Refused as malformed, foreign (another KV group) or
    /// overlapping one that is held.
    /// </summary>
    /// <param name="extent">The extent as granted.</param>
    /// <param name="now">Monotonic time since when it is idle.</param>
    public ExtentFault AddExtent(in Extent extent, TimeSpan now)
    {
        if (!extent.IsWellFormed || extent.EndPage > VirtualPageCount)
        {
            return ExtentFault.Malformed;
        }

        if (extent.Group != Group)
        {
            return ExtentFault.Foreign;
        }

        var pages = PagesOf(extent);
        if (pages.ContainsAnyExceptInRange(GivenUp, NeverHeld))
        {
            return ExtentFault.Overlaps;
        }

        var firstBlock = _slots.FirstBlockOf(extent.First);
        var endBlock = _slots.EndBlockOf(new PageId(extent.EndPage - 1));
        var blockCount = _slots.UsableBlocksBefore(extent.EndPage) - _slots.UsableBlocksBefore(extent.First.Value);
        pages.Fill(_held.Add(extent, new HeldExtent
        {
            FirstBlock = firstBlock,
            EndBlock = endBlock,
            LowestFree = firstBlock,
            BlockCount = blockCount,
            LastUse = new LastUse(0, now),
        }));
        _free.SetRange(firstBlock, endBlock);
        for (var block = firstBlock; _blocksPerPage == 0 && block < endBlock; block++)
        {
            if (!_slots.IsUsable(new BlockId(block)))
            {
                _free.Clear(block);
            }
        }

        HeldPageCount += extent.PageCount;
        FreeBlockCount += blockCount;
        return ExtentFault.None;
    }

    /// <summary>True when this very grant is held.</summary>
    public bool Holds(in Extent extent) => FindSlot(extent, out var slot) && _held.ExtentAt(slot) == extent;

    /// <summary>
    /// Lets go of an extent that has no used block, in one step, so that it can be unmapped; otherwise says why not and changes
    /// nothing.
    /// </summary>
    /// <param name="extent">The extent as it was added.</param>
    /// <param name="evictCached">Whether its cached blocks may be lost.</param>
    /// <param name="lastUse">When its last block was given up: unmap only after that step; meaningless unless given up.</param>
    public GiveUpResult TryGiveUp(in Extent extent, bool evictCached, out LastUse lastUse)
    {
        lastUse = default;
        if (!FindSlot(extent, out var slot))
        {
            return GiveUpResult.NotHeld;
        }

        ref var held = ref _held[slot];
        if (_held.ExtentAt(slot) != extent)
        {
            return GiveUpResult.Stale;
        }

        if (held.UsedCount > 0)
        {
            return GiveUpResult.InUse;
        }

        if (held.CachedCount > 0)
        {
            if (!evictCached)
            {
                return GiveUpResult.Cached;
            }

            EvictCachedOf(slot, []);
        }

        lastUse = held.LastUse;
        HeldPageCount -= extent.PageCount;
        FreeBlockCount -= held.BlockCount;
        _free.ClearRange(held.FirstBlock, held.EndBlock);
        PagesOf(extent).Fill(GivenUp);
        _held.Remove(slot);
        return GiveUpResult.GivenUp;
    }

    /// <summary>Copies warm extents, as many as fit, and returns how many. Their order is not by age.</summary>
    public int CopyWarm(Span<WarmExtent> destination)
    {
        var count = 0;
        for (var slot = _held.FirstWarm; slot >= 0 && count < destination.Length; slot = _held[slot].Next)
        {
            ref var held = ref _held[slot];
            destination[count++] = new WarmExtent(_held.ExtentAt(slot), held.LastUse);
        }

        return count;
    }

    /// <summary>Copies the extents held, as many as fit, and returns how many. In no order.</summary>
    public int CopyExtents(Span<Extent> destination)
    {
        var count = 0;
        for (var slot = 0; slot < _held.Slots.Length && count < destination.Length; slot++)
        {
            if (_held.Slots[slot].BlockCount > 0)
            {
                destination[count++] = _held.ExtentAt(slot);
            }
        }

        return count;
    }

    private Span<int> PagesOf(in Extent extent) => _slotOfPage.AsSpan(extent.First.Value, extent.PageCount);

    /// <summary>The slot of the extent that holds any page of a well-formed one.</summary>
    private bool FindSlot(in Extent extent, out int slot)
    {
        slot = -1;
        if (!extent.IsWellFormed || extent.EndPage > VirtualPageCount || extent.Group != Group)
        {
            return false;
        }

        var pages = PagesOf(extent);
        var position = pages.IndexOfAnyExceptInRange(GivenUp, NeverHeld);
        if (position < 0)
        {
            return false;
        }

        slot = pages[position];
        return true;
    }
}
