using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Client;

/// <content>Blocks whose content may be needed again.</content>
public sealed partial class KvPool
{
    /// <summary>Why tags don't outlive this process, where they should; null when they do, or aren't meant to.</summary>
    public string? TagsProblem { get; private set; }

    /// <summary>Gives a used or cached block its tag of 1 to 64 bytes, in place of any that it had: its content is complete and worth finding again.</summary>
    public BlockFault Tag(int group, BlockId block, ReadOnlySpan<byte> tag)
    {
        var state = StateOf(group);
        lock (_lock)
        {
            if (FindNullBlock(state, [block]) >= 0)
            {
                return new BlockFault(BlockFaultKind.Foreign, 0);
            }

            var fault = _blocks.Groups[group].SetTag(block, tag);
            if (fault.IsNone)
            {
                Note(group, block, tag);
            }

            return fault;
        }
    }

    /// <summary>Tags one used block and makes it cached: evictable, and the most recently used.</summary>
    public BlockFault Cache(int group, BlockId block, ReadOnlySpan<byte> tag, EngineStep lastUse)
    {
        var state = StateOf(group);
        BlockFault fault;
        bool wasEvicted;
        lock (_lock)
        {
            if (FindNullBlock(state, [block]) >= 0)
            {
                return new BlockFault(BlockFaultKind.Foreign, 0);
            }

            fault = _blocks.Cache(group, block, tag, At(lastUse));
            if (fault.IsNone)
            {
                Note(group, block, tag);
            }

            wasEvicted = fault.IsNone && KeepWithinCap(group);
        }

        Follow(wasEvicted, isLow: false);
        return fault;
    }

    /// <summary>Makes used blocks that have tags cached, all or none; the first counts as least recently used.</summary>
    public BlockFault Cache(int group, ReadOnlySpan<BlockId> blocks, EngineStep lastUse)
    {
        StateOf(group);
        BlockFault fault;
        bool wasEvicted;
        lock (_lock)
        {
            fault = _blocks.Cache(group, blocks, At(lastUse));
            wasEvicted = fault.IsNone && KeepWithinCap(group);
        }

        Follow(wasEvicted, isLow: false);
        return fault;
    }

    /// <summary>
    /// Puts cached blocks to use again, all or none. They keep their tags. Refused as <see cref="BlockFaultKind.Stale"/> when the pool can't be used.
    /// </summary>
    public BlockFault TakeCached(int group, ReadOnlySpan<BlockId> blocks)
    {
        StateOf(group);
        lock (_lock)
        {
            // What is handed out for use is fenced like an allocation.
            return _withdrawn is not null || !_port.Lease.IsHeld
                ? new BlockFault(BlockFaultKind.Stale, 0)
                : _blocks.TakeCached(group, blocks);
        }
    }

    /// <summary>Makes a cached block the most recently used; false when it isn't cached.</summary>
    public bool Touch(int group, BlockId block)
    {
        StateOf(group);
        lock (_lock)
        {
            return _blocks.Groups[group].Touch(block);
        }
    }

    /// <summary>Makes cached blocks free, all or none.</summary>
    public BlockFault Evict(int group, ReadOnlySpan<BlockId> blocks)
    {
        StateOf(group);
        BlockFault fault;
        lock (_lock)
        {
            fault = _blocks.Evict(group, blocks);
        }

        Follow(fault.IsNone && blocks.Length > 0, isLow: false);
        return fault;
    }

    /// <summary>All tagged blocks, used and cached, as they are now; in no order. A successor rebuilds its prefix cache from them.</summary>
    public IReadOnlyList<TaggedBlockCopy> EnumerateTagged(int group)
    {
        StateOf(group);
        var copies = new List<TaggedBlockCopy>();
        lock (_lock)
        {
            var blocks = _blocks.Groups[group];
            foreach (var tagged in blocks.EnumerateTagged())
            {
                copies.Add(new TaggedBlockCopy(tagged.Block, ImmutableArray.Create(tagged.Tag), blocks.IsCached(tagged.Block)));
            }
        }

        return copies;
    }

    /// <summary>Copies the tag of a block, and returns its length; 0 when it has none.</summary>
    /// <param name="group">The KV group.</param>
    /// <param name="block">The block.</param>
    /// <param name="tag">At least <see cref="BlockAllocator.MaxTagBytes"/> bytes.</param>
    public int CopyTag(int group, BlockId block, Span<byte> tag)
    {
        StateOf(group);
        lock (_lock)
        {
            var kept = _blocks.Groups[group].TagOf(block);
            kept.CopyTo(tag);
            return kept.Length;
        }
    }

    private bool KeepWithinCap(int group) => Options.MaxCachedBytes > 0 && _blocks.KeepCachedWithin(Options.MaxCachedBytes, group) > 0;

    private void Note(int group, BlockId block, ReadOnlySpan<byte> tag)
    {
        if (_journal is not null && _blocks.Groups[group].TryFindExtent(block, out var extent))
        {
            _journal.Write(group, block, extent.Generation, tag);
        }
    }
}
