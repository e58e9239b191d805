using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>A scheduler's end and its successor's start: tagged blocks outlive it in extents that stay mapped.</summary>
public sealed partial class BlockAllocator
{
    /// <summary>
    /// Ends all use: the scheduler that used the blocks is gone. Tagged blocks become cached, others free. Returns how many blocks
    /// were in use.
    /// </summary>
    public int ReleaseAllUsed(LastUse lastUse)
    {
        var released = UsedBlockCount;
        for (var slot = 0; slot < _held.Slots.Length; slot++)
        {
            ref var held = ref _held[slot];
            if (held.UsedCount == 0)
            {
                continue;
            }

            for (var block = held.FirstBlock; block < held.EndBlock; block++)
            {
                if (_blocks[block].State != BlockState.Used)
                {
                    continue;
                }

                if (_blocks[block].TagPlace != 0)
                {
                    MakeCached(block, lastUse);
                }
                else
                {
                    held.UsedCount--;
                    UsedBlockCount--;
                    FreeBlockCount++;
                    PutBack(ref held, block);
                }
            }

            Settle(slot, lastUse);
        }

        return released;
    }

    /// <summary>
    /// Makes a free block cached under a tag: what a new scheduler does with the blocks that its predecessor left in extents that
    /// stayed mapped.
    /// </summary>
    public BlockFault RestoreCached(BlockId block, ReadOnlySpan<byte> tag, LastUse lastUse)
    {
        if (tag.Length is < 1 or > MaxTagBytes)
        {
            return new BlockFault(BlockFaultKind.BadTag, 0);
        }

        if (FindMisplacement(block.Value) is var misplaced and not BlockFaultKind.None)
        {
            return new BlockFault(misplaced, 0);
        }

        if (_blocks[block.Value].State != BlockState.Free)
        {
            return new BlockFault(BlockFaultKind.NotFree, 0);
        }

        ref var held = ref _held[_slotOfPage[PageOf(block.Value)]];
        TakeFree(ref held, block.Value);
        held.UsedCount++;
        UsedBlockCount++;
        FreeBlockCount--;
        StoreTag(block.Value, tag);
        MakeCached(block.Value, lastUse);
        return BlockFault.None;
    }

    /// <summary>Takes one chosen block out of its extent's free ones.</summary>
    private void TakeFree(ref HeldExtent held, int block)
    {
        while (held.FreshBlock <= block)
        {
            var fresh = NextUsable(held.FreshBlock);
            held.FreshBlock = fresh + 1;
            PutBack(ref held, fresh);
        }

        ref var node = ref _blocks[block];
        if (node.Next >= 0)
        {
            _blocks[node.Next].Previous = node.Previous;
        }

        // Allocating leaves the new head's back link as it was, so the head is told by its place, not by that link.
        if (held.ReturnedHead == block)
        {
            held.ReturnedHead = node.Next;
        }
        else
        {
            _blocks[node.Previous].Next = node.Next;
        }
    }
}
