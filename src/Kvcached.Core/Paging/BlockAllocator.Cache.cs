using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>
/// Blocks whose content may be needed again. A complete block gets a tag while in use; without users it is cached, and evicted when
/// the room is needed.
/// </summary>
public sealed partial class BlockAllocator
{
    private readonly TagStore _tags = new(MaxTagBytes);
    private int _oldestCached = -1;
    private int _newestCached = -1;

    /// <summary>Blocks with a tag, used or cached.</summary>
    public int TaggedBlockCount => _tags.Count;

    /// <summary>Gives a used or cached block its tag of 1 to 64 bytes, in place of any that it had.</summary>
    public BlockFault SetTag(BlockId block, ReadOnlySpan<byte> tag)
    {
        if (tag.Length is < 1 or > MaxTagBytes)
        {
            return new BlockFault(BlockFaultKind.BadTag, 0);
        }

        if (!IsUsed(block) && !IsCached(block))
        {
            var kind = FindMisplacement(block.Value);
            return new BlockFault(kind == BlockFaultKind.None ? BlockFaultKind.DoubleFree : kind, 0);
        }

        StoreTag(block.Value, tag);
        return BlockFault.None;
    }

    /// <summary>The tag of a block; empty when it has none. Valid until the next call that changes the allocator.</summary>
    public ReadOnlySpan<byte> TagOf(BlockId block) =>
        (uint)block.Value < (uint)_blocks.Length && _blocks[block.Value].TagPlace is var place and > 0 ? _tags.TagAt(place - 1) : [];

    /// <summary>
    /// Makes used blocks that have tags cached, all or none. They count as least recently used in the order given.
    /// </summary>
    public BlockFault Cache(ReadOnlySpan<BlockId> blocks, LastUse lastUse)
    {
        var fault = MarkLeaving(blocks, BlockState.Used, BlockFaultKind.DoubleFree);
        for (var i = 0; fault.IsNone && i < blocks.Length; i++)
        {
            if (_blocks[blocks[i].Value].TagPlace == 0)
            {
                fault = new BlockFault(BlockFaultKind.NotTagged, i);
                foreach (var marked in blocks)
                {
                    _blocks[marked.Value].State = BlockState.Used;
                }
            }
        }

        if (!fault.IsNone)
        {
            return fault;
        }

        foreach (var block in blocks)
        {
            MakeCached(block.Value, lastUse);
        }

        return BlockFault.None;
    }

    /// <summary>Tags one used block and makes it cached.</summary>
    public BlockFault Cache(BlockId block, ReadOnlySpan<byte> tag, LastUse lastUse)
    {
        if (!IsUsed(block))
        {
            var kind = FindMisplacement(block.Value);
            return new BlockFault(kind == BlockFaultKind.None ? BlockFaultKind.DoubleFree : kind, 0);
        }

        var fault = SetTag(block, tag);
        if (fault.IsNone)
        {
            MakeCached(block.Value, lastUse);
        }

        return fault;
    }

    /// <summary>Puts cached blocks to use again, all or none. They keep their tags.</summary>
    public BlockFault TakeCached(ReadOnlySpan<BlockId> blocks)
    {
        var fault = MarkLeaving(blocks, BlockState.Cached, BlockFaultKind.NotCached);
        if (!fault.IsNone)
        {
            return fault;
        }

        foreach (var block in blocks)
        {
            UnlinkCached(block.Value);
            _blocks[block.Value].State = BlockState.Used;
            ref var held = ref _held[_slotOfPage[PageOf(block.Value)]];
            held.CachedCount--;
            held.UsedCount++;
        }

        CachedBlockCount -= blocks.Length;
        UsedBlockCount += blocks.Length;
        return BlockFault.None;
    }

    /// <summary>Makes a cached block the most recently used; false when it isn't cached.</summary>
    public bool Touch(BlockId block)
    {
        if (!IsCached(block))
        {
            return false;
        }

        UnlinkCached(block.Value);
        LinkNewest(block.Value);
        return true;
    }

    /// <summary>Walks the tagged blocks, used and cached, in no order. The allocator must not change meanwhile.</summary>
    public TaggedBlocks EnumerateTagged() => new(_tags);

    private void StoreTag(int block, ReadOnlySpan<byte> tag)
    {
        ref var node = ref _blocks[block];
        if (node.TagPlace != 0)
        {
            _tags.Replace(node.TagPlace - 1, tag);
        }
        else
        {
            node.TagPlace = _tags.Add(block, tag) + 1;
        }
    }

    private void DropTag(ref BlockNode node)
    {
        _tags.Remove(node.TagPlace - 1);
        node.TagPlace = 0;
    }

    private void MakeCached(int block, LastUse lastUse)
    {
        _blocks[block].State = BlockState.Cached;
        LinkNewest(block);
        var slot = _slotOfPage[PageOf(block)];
        ref var held = ref _held[slot];
        held.UsedCount--;
        held.CachedCount++;
        UsedBlockCount--;
        CachedBlockCount++;
        Settle(slot, lastUse);
    }

    private void LinkNewest(int block)
    {
        ref var node = ref _blocks[block];
        node.Next = -1;
        node.Previous = _newestCached;
        if (_newestCached >= 0)
        {
            _blocks[_newestCached].Next = block;
        }
        else
        {
            _oldestCached = block;
        }

        _newestCached = block;
    }

    private void UnlinkCached(int block)
    {
        ref var node = ref _blocks[block];
        if (node.Previous >= 0)
        {
            _blocks[node.Previous].Next = node.Next;
        }
        else
        {
            _oldestCached = node.Next;
        }

        if (node.Next >= 0)
        {
            _blocks[node.Next].Previous = node.Previous;
        }
        else
        {
            _newestCached = node.Previous;
        }
    }
}
