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

            for (var block = _used.NextFrom(held.FirstBlock, held.EndBlock); block >= 0; block = _used.NextFrom(block + 1, held.EndBlock))
            {
                _used.Clear(block);
                if (_tagged[block])
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

        if (!IsIn(_free, block))
        {
            return Refuse(block, BlockFaultKind.NotFree);
        }

        _free.Clear(block.Value);
        StoreTag(block.Value, tag);
        _held[_slotOfPage[PageOf(block.Value)]].UsedCount++;
        UsedBlockCount++;
        FreeBlockCount--;
        MakeCached(block.Value, lastUse);
        return BlockFault.None;
    }
}
