using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>
/// Blocks whose content may be needed again. A complete block gets a tag while in use; without users it is cached, and evicted when
/// the room is needed.
/// </summary>
public sealed partial class BlockAllocator
{
    private readonly TagStore _tags = new(MaxTagBytes);
    private readonly int[] _tagPlaces;
    private readonly CachedBlocks _cachedByAge;

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
            return Refuse(block, BlockFaultKind.DoubleFree);
        }

        StoreTag(block.Value, tag);
        return BlockFault.None;
    }

    /// <summary>The tag of a block; empty when it has none. Valid until the next call that changes the allocator.</summary>
    public ReadOnlySpan<byte> TagOf(BlockId block) =>
        IsIn(_tagged, block) ? _tags.TagAt(_tagPlaces[block.Value]) : [];

    /// <summary>
    /// Makes used blocks that have tags cached, all or none. They count as least recently used in the order given.
    /// </summary>
    public BlockFault Cache(ReadOnlySpan<BlockId> blocks, LastUse lastUse)
    {
        var fault = TakeOut(blocks, _used, BlockFaultKind.DoubleFree);
        for (var i = 0; fault.IsNone && i < blocks.Length; i++)
        {
            if (!_tagged[blocks[i].Value])
            {
                fault = new BlockFault(BlockFaultKind.NotTagged, i);
                foreach (var taken in blocks)
                {
                    _used.Set(taken.Value);
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
            return Refuse(block, BlockFaultKind.DoubleFree);
        }

        var fault = SetTag(block, tag);
        if (fault.IsNone)
        {
            _used.Clear(block.Value);
            MakeCached(block.Value, lastUse);
        }

        return fault;
    }

    /// <summary>Puts cached blocks to use again, all or none. They keep their tags.</summary>
    public BlockFault TakeCached(ReadOnlySpan<BlockId> blocks)
    {
        var fault = TakeOut(blocks, _cached, BlockFaultKind.NotCached);
        if (!fault.IsNone)
        {
            return fault;
        }

        foreach (var block in blocks)
        {
            _cachedByAge.Remove(block.Value);
            _used.Set(block.Value);
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

        _cachedByAge.Remove(block.Value);
        _cachedByAge.AddNewest(block.Value);
        return true;
    }

    /// <summary>Walks the tagged blocks, used and cached, in no order. The allocator must not change meanwhile.</summary>
    public TaggedBlocks EnumerateTagged() => new(_tags);

    private void StoreTag(int block, ReadOnlySpan<byte> tag)
    {
        if (_tagged[block])
        {
            _tags.Replace(_tagPlaces[block], tag);
        }
        else
        {
            _tagPlaces[block] = _tags.Add(block, tag);
            _tagged.Set(block);
        }
    }

    /// <summary>Enters a tagged block that was taken out of the used ones, but still counts as used.</summary>
    private void MakeCached(int block, LastUse lastUse)
    {
        _cached.Set(block);
        _cachedByAge.AddNewest(block);
        var slot = _slotOfPage[PageOf(block)];
        ref var held = ref _held[slot];
        held.UsedCount--;
        held.CachedCount++;
        UsedBlockCount--;
        CachedBlockCount++;
        Settle(slot, lastUse);
    }
}
