using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Kvcached.Client.Pools;
using Kvcached.Client.Sessions;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Scheduling;

namespace Kvcached.Client;

/// <summary>
/// One pool, as its engine's scheduler sees it. Blocks of mapped pages are allocated and freed in process, without a round trip and without
/// managed memory; growth and return go through the coordinator in whole extents. Thread-safe.
/// </summary>
/// <remarks>
/// Groups are numbered from 0 in the order of the geometry; one out of range throws <see cref="ArgumentOutOfRangeException"/>. Handlers of events
/// must not throw, and must not call what waits for the coordinator (<see cref="Grow"/> and the like is refused there).
/// </remarks>
public sealed partial class KvPool : IDisposable
{
    private readonly ISessionPort _port;
    private readonly long _origin;
    private readonly Lock _lock = new();
    private readonly PoolBlocks _blocks;
    private readonly EvictionQueue _evictions = new();
    private readonly ImmutableArray<ArenaLayout> _layouts;
    private readonly GroupState[] _groups;
    private readonly HashSet<Extent> _inherited = [];
    private BlockId[] _untagged = new BlockId[64];
    private TagFile? _journal;
    private Refusal? _withdrawn;
    private bool _isClosed;
    private EngineStep _lastStep;
    private BlockEvictedHandler? _evicted;

    internal KvPool(PoolId id, PoolSpec spec, KvPoolOptions options, ISessionPort port)
    {
        (Id, Spec, Options, _port) = (id, spec, options, port);
        _origin = port.Time.GetTimestamp();
        _blocks = new PoolBlocks(spec.Geometry, _evictions);
        _layouts = [.. Enumerable.Range(0, spec.Geometry.Ranks.Length).Select(rank => ArenaLayout.Create(spec.Geometry, rank))];
        _groups = [.. Enumerable.Range(0, spec.Geometry.GroupCount).Select(group => new GroupState(spec.Geometry, group, options))];
    }

    /// <summary>A cached block that was evicted. Called without any lock held, by the thread that evicted: the caller's, or the library's.</summary>
    public delegate void BlockEvictedHandler(int group, BlockId block, ReadOnlySpan<byte> tag);

    /// <summary>Cached blocks were evicted: to allocate, by the cap, or because their memory was given up. Also for <see cref="Evict"/>.</summary>
    public event BlockEvictedHandler? Evicted
    {
        add
        {
            lock (_lock)
            {
                _evicted += value;
                _evictions.IsHeard = _evicted is not null;
            }
        }

        remove
        {
            lock (_lock)
            {
                _evicted -= value;
                _evictions.IsHeard = _evicted is not null;
            }
        }
    }

    /// <summary>The domain is short of memory and asked for some back. Called by the library's thread, after it answered.</summary>
    public event Action<ShrinkAsked>? ShrinkAsked;

    /// <summary>
    /// The pool is gone without having been closed: its blocks must not be used any more. After <see cref="RefusalReason.PoolLost"/> it is to be closed
    /// all the same, once the steps that use it have ended. Called once, by the library's thread.
    /// </summary>
    public event Action<Refusal>? WithdrawnByDomain;

    public PoolId Id { get; }

    public PoolSpec Spec { get; }

    public KvPoolOptions Options { get; }

    public int GroupCount => _groups.Length;

    /// <summary>Why the pool can't be used any more: withdrawn, closed, or the session's lease is (nearly) over. Null while it can.</summary>
    public Refusal? Withdrawn
    {
        get
        {
            lock (_lock)
            {
                return _withdrawn ?? FindFence();
            }
        }
    }

    private TimeSpan Now => _port.Time.GetElapsedTime(_origin);

    /// <summary>
    /// Takes exactly <c>blocks.Length</c> blocks from mapped pages, the fullest extents first; false, and none taken, when there are too few or the
    /// pool can't be used (<see cref="Withdrawn"/>). Evicts cached blocks when <see cref="KvPoolOptions.IsEvictingToAllocate"/>.
    /// </summary>
    public bool TryAllocate(int group, Span<BlockId> blocks)
    {
        var state = StateOf(group);
        bool isAllocated, wasEvicted, isLow;
        lock (_lock)
        {
            // Asked within the lock: a scheduler that was stopped while it waited for it must not go on as if no time had passed.
            if (_withdrawn is not null || !_port.Lease.IsHeld)
            {
                return false;
            }

            isAllocated = Options.IsEvictingToAllocate ? _blocks.TryAllocateEvicting(group, blocks) : _blocks.TryAllocate(group, blocks);
            var free = _blocks.Groups[group].FreeBlockCount;
            if (!isAllocated)
            {
                state.Planner.Missed(Now, blocks.Length - free);
            }

            isLow = !isAllocated || free < state.WantedFreeBlocks;
            wasEvicted = !_evictions.IsEmpty;
        }

        Follow(wasEvicted, isLow);
        return isAllocated;
    }

    /// <summary>Frees used blocks and drops their tags. Checked as a whole first: on a double, foreign or stale id none is freed.</summary>
    /// <param name="group">The KV group.</param>
    /// <param name="blocks">The blocks.</param>
    /// <param name="lastUse">
    /// The last engine step that reads or writes them: their memory isn't unmapped on any rank before that rank has completed it.
    /// <see cref="EngineStep.Sync"/> for engines that don't count steps.
    /// </param>
    public BlockFault Free(int group, ReadOnlySpan<BlockId> blocks, EngineStep lastUse)
    {
        var state = StateOf(group);
        lock (_lock)
        {
            if (FindNullBlock(state, blocks) is var index and >= 0)
            {
                return new BlockFault(BlockFaultKind.Foreign, index);
            }

            var untagged = CollectTagged(group, blocks);
            var fault = _blocks.Free(group, blocks, At(lastUse));
            if (fault.IsNone)
            {
                foreach (var block in _untagged.AsSpan(0, untagged))
                {
                    _journal!.Clear(group, block);
                }
            }

            return fault;
        }
    }

    /// <summary>What can be had without, and with, evicting and growing.</summary>
    public KvAvailability Available(int group)
    {
        StateOf(group);
        lock (_lock)
        {
            var blocks = _blocks.Groups[group];
            var unmapped = (long)(blocks.VirtualPageCount - blocks.HeldPageCount) * Spec.Geometry.SlotsOf(group).LeastBlocksPerPage;
            return new KvAvailability(blocks.FreeBlockCount, blocks.CachedBlockCount, unmapped);
        }
    }

    /// <summary>The block set aside for padding; null before the group's first extent has come, or without <see cref="KvPoolOptions.HasNullBlock"/>.</summary>
    public BlockId? NullBlock(int group)
    {
        lock (_lock)
        {
            return StateOf(group).NullBlock;
        }
    }

    /// <summary>Extents held of a group, in no order.</summary>
    public IReadOnlyList<Extent> Extents(int group)
    {
        StateOf(group);
        lock (_lock)
        {
            var extents = new Extent[_blocks.Groups[group].ExtentCount];
            return extents[.._blocks.Groups[group].CopyExtents(extents)];
        }
    }

    private GroupState StateOf(int group) => (uint)group < (uint)_groups.Length
        ? _groups[group]
        : throw new ArgumentOutOfRangeException(nameof(group), group, $"{Id} has {_groups.Length} KV groups, numbered from 0.");

    /// <summary>Notes the step; called within the lock.</summary>
    private LastUse At(EngineStep step)
    {
        _lastStep = step == EngineStep.Sync ? _lastStep : EngineStep.Later(_lastStep, step);
        return new LastUse(Math.Max(0, step.Value), Now);
    }

    private Refusal? FindFence() => _port.Ended ?? (_port.Lease.IsHeld
        ? null
        : new Refusal(RefusalReason.UnknownSession, "The session's lease could not be renewed in time, so its memory may be someone else's by now. Open a new session."));

    private static int FindNullBlock(GroupState state, ReadOnlySpan<BlockId> blocks) =>
        state.NullBlock is { } block ? MemoryMarshal.Cast<BlockId, int>(blocks).IndexOf(block.Value) : -1;

    /// <summary>Notes those blocks whose records in the journal go with their tags, and returns how many.</summary>
    private int CollectTagged(int group, ReadOnlySpan<BlockId> blocks)
    {
        var allocator = _blocks.Groups[group];
        if (_journal is null || allocator.TaggedBlockCount == 0)
        {
            return 0;
        }

        if (_untagged.Length < blocks.Length)
        {
            _untagged = new BlockId[blocks.Length * 2];
        }

        var count = 0;
        foreach (var block in blocks)
        {
            if (!allocator.TagOf(block).IsEmpty)
            {
                _untagged[count++] = block;
            }
        }

        return count;
    }

    /// <summary>What must be done after the lock was released.</summary>
    private void Follow(bool wasEvicted, bool isLow)
    {
        if (isLow && Options.IsGrowingAhead)
        {
            _port.Wake();
        }

        if (wasEvicted)
        {
            TellEvicted();
        }
    }

    private void TellEvicted()
    {
        EvictionQueue taken;
        BlockEvictedHandler? handler;
        lock (_lock)
        {
            (taken, handler) = (_evictions.Take(), _evicted);
        }

        try
        {
            if (handler is not null)
            {
                taken.Tell(handler);
            }
        }
        finally
        {
            lock (_lock)
            {
                _evictions.Return(taken);
            }
        }
    }
}
