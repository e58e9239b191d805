using System.Numerics;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>
/// Hands out the blocks of one KV group within the extents that are mapped, filling the fullest extents first, so that others
/// become empty and can be given back. Runs in the engine's process.
/// </summary>
/// <remarks>
/// A block is free, used, or cached (evictable, with a tag by which the engine knows its content). The time to allocate
/// and free a block doesn't grow with the number of blocks or extents held, and no managed memory is allocated. Not thread-safe: the owner holds a lock around each call.
/// </remarks>
public sealed partial class BlockAllocator
{
    /// <summary>Longest tag of a block, in bytes.</summary>
    public const int MaxTagBytes = 64;

    private const int NeverHeld = -1;
    private const int GivenUp = -2;
    private readonly PageSlots _slots;
    private readonly int _blocksPerPage;
    private readonly int _blocksPerPageShift;
    private readonly int[] _slotOfPage;
    private readonly BlockStates _states;
    private readonly BlockBits _free;
    private readonly BlockBits _used;
    private readonly BlockBits _cached;
    private readonly BlockBits _tagged;
    private readonly HeldExtents _held = new();

    /// <summary>An allocator that holds no extent yet.</summary>
    /// <param name="slots">Page and block size of the group; every page has room for a whole block.</param>
    /// <param name="virtualPageCount">Page ids of the group, from 1.</param>
    /// <param name="group">Index of the KV group in its pool, from 0.</param>
    public BlockAllocator(PageSlots slots, int virtualPageCount, int group = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(slots.LeastBlocksPerPage, 1, nameof(slots));
        ArgumentOutOfRangeException.ThrowIfLessThan(virtualPageCount, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(group);
        _slots = slots;
        _blocksPerPage = slots.PageBytes % slots.BlockBytes == 0 ? (int)(slots.PageBytes / slots.BlockBytes) : 0;
        _blocksPerPageShift = BitOperations.IsPow2(_blocksPerPage) ? BitOperations.Log2((uint)_blocksPerPage) : -1;
        BlockIdCount = slots.EndBlockOf(new PageId(virtualPageCount - 1));
        _states = new BlockStates(BlockIdCount);
        (_free, _used, _cached, _tagged) = (_states.Free, _states.Used, _states.Cached, _states.Tagged);
        _cachedByAge = new CachedBlocks(BlockIdCount);
        _tagPlaces = new int[BlockIdCount];
        _slotOfPage = new int[virtualPageCount];
        Array.Fill(_slotOfPage, NeverHeld);
        Group = group;
    }

    public int Group { get; }

    public int VirtualPageCount => _slotOfPage.Length;

    /// <summary>Block ids that there are, those across two pages included: ids are below it.</summary>
    public int BlockIdCount { get; }

    /// <summary>Blocks in use.</summary>
    public int UsedBlockCount { get; private set; }

    /// <summary>Blocks that keep content for reuse and can be evicted.</summary>
    public int CachedBlockCount { get; private set; }

    /// <summary>Blocks that <see cref="TryAllocate"/> can hand out now.</summary>
    public int FreeBlockCount { get; private set; }

    public int ExtentCount => _held.Count;

    /// <summary>Page ids of the extents held.</summary>
    public int HeldPageCount { get; private set; }

    /// <summary>Extents without used or cached blocks.</summary>
    public int WarmExtentCount => _held.WarmCount;

    /// <summary>Bytes of the used blocks in one buffer of one layer; a rank holds this once per layer and buffer.</summary>
    public long LiveBytesPerBuffer => UsedBlockCount * _slots.BlockBytes;

    /// <summary>Bytes of the held pages in one buffer of one layer; a rank holds this once per layer and buffer.</summary>
    public long HeldBytesPerBuffer => HeldPageCount * _slots.PageBytes;

    /// <summary>Hands out as many blocks as the span is long, or none when fewer are free.</summary>
    public bool TryAllocate(Span<BlockId> destination)
    {
        if (destination.Length > FreeBlockCount)
        {
            return false;
        }

        for (var filled = 0; filled < destination.Length;)
        {
            var slot = _held.FindFullestWithRoom();
            ref var held = ref _held[slot];
            var count = Math.Min(held.FreeCount, destination.Length - filled);
            var last = _states.UseLowest(held.LowestFree, destination.Slice(filled, count));
            held.UsedCount += count;

            // Of a full one the next block that is freed is the lowest, and needn't be looked for.
            held.LowestFree = held.FreeCount == 0 ? int.MaxValue : last + 1;
            _held.Update(slot);
            filled += count;
        }

        UsedBlockCount += destination.Length;
        FreeBlockCount -= destination.Length;
        return true;
    }

    /// <summary>
    /// Takes used blocks back, all or none, and drops their tags. Refused: blocks that are not in use or named twice
    /// (<see cref="BlockFaultKind.DoubleFree"/>), never were (<see cref="BlockFaultKind.Foreign"/>), or whose extent is gone
    /// (<see cref="BlockFaultKind.Stale"/>).
    /// </summary>
    public BlockFault Free(ReadOnlySpan<BlockId> blocks, LastUse lastUse)
    {
        for (var i = 0; i < blocks.Length; i++)
        {
            if ((uint)blocks[i].Value >= (uint)BlockIdCount || !_states.TryFree(blocks[i].Value))
            {
                foreach (var freed in blocks[..i])
                {
                    _states.Use(freed.Value);
                }

                return Refuse(blocks[i], BlockFaultKind.DoubleFree, i);
            }
        }

        // Nothing in this loop is decided by what is read, so that the processor fetches the extents of all the blocks at once.
        var extents = _held.Slots;
        foreach (var block in blocks)
        {
            ref var held = ref extents[_slotOfPage[PageOf(block.Value)]];
            held.UsedCount--;
            held.LowestFree = Math.Min(held.LowestFree, block.Value);
        }

        var settled = -1;
        foreach (var block in blocks)
        {
            var slot = _slotOfPage[PageOf(block.Value)];
            if (slot != settled)
            {
                Settle(slot, lastUse);
                settled = slot;
            }
        }

        for (var i = 0; i < blocks.Length && _tags.Count > 0; i++)
        {
            DropTag(blocks[i].Value);
        }

        UsedBlockCount -= blocks.Length;
        FreeBlockCount += blocks.Length;
        return BlockFault.None;
    }

    /// <summary>True when the block is in use.</summary>
    public bool IsUsed(BlockId block) => IsIn(_used, block);

    /// <summary>True when the block is cached.</summary>
    public bool IsCached(BlockId block) => IsIn(_cached, block);

    private bool IsIn(BlockBits bits, BlockId block) => (uint)block.Value < (uint)BlockIdCount && bits[block.Value];

    /// <summary>
    /// Takes all blocks out of a state at once, so that a block named twice is found out; on a fault they are put back.
    /// </summary>
    private BlockFault TakeOut(ReadOnlySpan<BlockId> blocks, BlockBits state, BlockFaultKind otherwise)
    {
        for (var i = 0; i < blocks.Length; i++)
        {
            if ((uint)blocks[i].Value < (uint)BlockIdCount && state.TryClear(blocks[i].Value))
            {
                continue;
            }

            foreach (var taken in blocks[..i])
            {
                state.Set(taken.Value);
            }

            return Refuse(blocks[i], otherwise, i);
        }

        return BlockFault.None;
    }

    private BlockFault Refuse(BlockId block, BlockFaultKind otherwise, int index = 0)
    {
        var misplaced = FindMisplacement(block.Value);
        return new BlockFault(misplaced == BlockFaultKind.None ? otherwise : misplaced, index);
    }

    private BlockFaultKind FindMisplacement(int block)
    {
        if ((uint)block >= (uint)BlockIdCount || !_slots.IsUsable(new BlockId(block)))
        {
            return BlockFaultKind.Foreign;
        }

        return _slotOfPage[PageOf(block)] switch
        {
            NeverHeld => BlockFaultKind.Foreign,
            GivenUp => BlockFaultKind.Stale,
            _ => BlockFaultKind.None,
        };
    }

    /// <summary>Makes a block free in its extent, without its tag. The counts are the caller's to change.</summary>
    private void PutBack(ref HeldExtent held, int block)
    {
        DropTag(block);
        _free.Set(block);
        held.LowestFree = Math.Min(held.LowestFree, block);
    }

    private void DropTag(int block)
    {
        if (_tagged.TryClear(block))
        {
            _tags.Remove(_tagPlaces[block]);
        }
    }

    /// <summary>Notes that blocks of an extent were given up, and moves it where its counts now call for.</summary>
    private void Settle(int slot, LastUse lastUse)
    {
        ref var held = ref _held[slot];
        held.LastUse = new LastUse(
            Math.Max(held.LastUse.Step, lastUse.Step),
            held.LastUse.Time > lastUse.Time ? held.LastUse.Time : lastUse.Time);
        _held.Update(slot);
    }

    private int PageOf(int block) =>
        _blocksPerPageShift >= 0 ? block >> _blocksPerPageShift
        : _blocksPerPage != 0 ? (int)((uint)block / (uint)_blocksPerPage)
        : _slots.PageOf(new BlockId(block)).Value;
}
