using Kvcached.Client.Sessions;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Client;

/// <content>What goes through the coordinator because the engine asks for it.</content>
public sealed partial class KvPool
{
    /// <summary>Between two questions whether the workers have attached.</summary>
    private static readonly TimeSpan AttachPause = TimeSpan.FromMilliseconds(10);

    /// <summary>Asks for pages, and has them mapped on every rank or refused by the deadline. Returns how many came.</summary>
    public ClientResult<int> Grow(int group, int pages, TimeSpan deadline)
    {
        var state = StateOf(group);
        if (FindObstacle() is { } obstacle)
        {
            return obstacle;
        }

        if (pages < 1)
        {
            return new Refusal(RefusalReason.InvalidCount, $"{pages} pages can't be asked for; ask for 1 or more.");
        }

        // More than all of it is not a wrong number to whoever counts in blocks, but memory that there isn't.
        var virtualPages = Spec.Geometry.VirtualPageCounts[group];
        if (pages > virtualPages)
        {
            return new Refusal(RefusalReason.VirtualSpaceExhausted, $"{pages} pages of {Id} group {group}: the pool was opened with room for {virtualPages}. Ask for less, or open it with more virtual pages.");
        }

        deadline = Deadlines.Clamp(deadline);
        var patience = deadline < Options.AttachPatience ? deadline : Options.AttachPatience;
        var started = _port.Time.GetTimestamp();
        ClientResult<EngineProtocol.IReply> result;
        do
        {
            var left = Deadlines.Clamp(deadline - _port.Time.GetElapsedTime(started));
            result = AskForPages(group, state, pages, left).Wait(left, $"Growth of {Id} by {pages} pages");
        }
        while (result.Refusal?.Reason == RefusalReason.NotAttached && _port.Time.GetElapsedTime(started) < patience && !IsWithdrawnWithin(AttachPause));
        return result.Value switch
        {
            EngineProtocol.PagesAllocated allocated => allocated.Extents.Sum(e => e.PageCount),
            null => result.Refusal!,
            var other => Unfitting(other),
        };
    }

    /// <summary>
    /// Takes exactly <c>blocks.Length</c> blocks, growing as needed; when growth is refused, cached blocks are evicted. Null, or why not; then none
    /// is taken.
    /// </summary>
    public Refusal? AllocateOrGrow(int group, Span<BlockId> blocks, TimeSpan deadline)
    {
        var state = StateOf(group);
        var started = _port.Time.GetTimestamp();
        deadline = Deadlines.Clamp(deadline);
        while (true)
        {
            if (FindObstacle() is { } obstacle)
            {
                return obstacle;
            }

            if (TryAllocateFree(group, blocks, out var missing))
            {
                return null;
            }

            var left = deadline - _port.Time.GetElapsedTime(started);
            var grown = left <= TimeSpan.Zero
                ? new Refusal(RefusalReason.DeadlineExceeded, $"{blocks.Length} blocks of {Id} could not be had within {deadline.TotalSeconds:0.###} s. Free some, or wait longer.")
                : Grow(group, state.PagesOf(missing), left);
            if (grown.IsGranted)
            {
                continue;
            }

            if (TryAllocateEvicting(group, blocks, out missing))
            {
                return null;
            }

            // Not all of it is to be had; but perhaps what eviction doesn't cover.
            left = deadline - _port.Time.GetElapsedTime(started);
            if (missing < blocks.Length && left > TimeSpan.Zero && grown.Refusal.Reason is RefusalReason.OutOfMemory or RefusalReason.DeviceShort or RefusalReason.LimitExceeded
                && Grow(group, state.PagesOf(missing), left).IsGranted && TryAllocateEvicting(group, blocks, out _))
            {
                return null;
            }

            return grown.Refusal;
        }
    }

    /// <summary>Gives warm extents back, longest idle first, until at most so many warm pages are left. Returns the pages given back.</summary>
    public ClientResult<int> Trim(int group, int warmPagesToKeep, TimeSpan deadline)
    {
        StateOf(group);
        if (FindObstacle() is { } obstacle)
        {
            return obstacle;
        }

        Core.Scheduling.GivenUpExtents leaving;
        lock (_lock)
        {
            leaving = WithInheritedFence(_blocks.TakeWarm(group, Math.Max(0, warmPagesToKeep), TimeSpan.Zero, Now));
            _returnedExtents += leaving.Extents.Length;
        }

        if (leaving.IsEmpty)
        {
            return 0;
        }

        var result = Return(leaving).Wait(Deadlines.Clamp(deadline), $"The return of {leaving.PageCount} pages of {Id}");
        return result.Value switch
        {
            EngineProtocol.ExtentsFreed => leaving.PageCount,

            // An earlier coordinator took them back and ended before it could say so: they are gone, or are returned one by one.
            null when result.Refusal!.Reason == RefusalReason.StaleExtent => leaving.PageCount,
            null => result.Refusal!,
            var other => Unfitting(other),
        };
    }

    /// <summary>Waits, growing as needed, until the block for padding is there.</summary>
    public ClientResult<BlockId> EnsureNullBlock(int group, TimeSpan deadline)
    {
        if (!Options.HasNullBlock)
        {
            return new Refusal(RefusalReason.NotSupported, $"{Id} was opened without a block for padding; see {nameof(KvPoolOptions)}.{nameof(KvPoolOptions.HasNullBlock)}.");
        }

        var grown = NullBlock(group) is null ? Grow(group, 1, deadline) : 0;
        return NullBlock(group) is { } block ? block
            : grown.Refusal ?? new Refusal(RefusalReason.OutOfMemory, $"{Id} has no block free for padding. Free some, or ask again.");
    }

    /// <summary>
    /// Keeps the extents of these pages mapped until as many <see cref="Unpin"/>: they are never given up, whether asked or idle. For memory that is
    /// registered elsewhere (RDMA). False, and none pinned, when a page isn't mapped.
    /// </summary>
    public bool Pin(int group, PageId first, int pages)
    {
        StateOf(group);
        lock (_lock)
        {
            return _withdrawn is null && _blocks.Pins.TryPin(_blocks.Groups[group], first, pages);
        }
    }

    /// <summary>Takes one <see cref="Pin"/> of the same range back; false when it isn't pinned.</summary>
    public bool Unpin(int group, PageId first, int pages)
    {
        StateOf(group);
        lock (_lock)
        {
            return _blocks.Pins.TryUnpin(_blocks.Groups[group], first, pages);
        }
    }

    /// <summary>
    /// Closes the pool and returns all its memory. Null, or why that isn't confirmed; it is unusable in either case. A pool that was withdrawn because memory
    /// of it is lost (<see cref="RefusalReason.PoolLost"/>) stays mapped in its workers until then: close it once no step uses it any more.
    /// </summary>
    /// <remarks>
    /// No worker unmaps any of it before it has completed the last step that was named when blocks were freed or cached, and all work that it has submitted by then.
    /// A scheduler that runs ahead of its workers, with steps under way of which it hasn't freed anything, names the last of them:
    /// <see cref="Close(TimeSpan, EngineStep)"/>.
    /// </remarks>
    public Refusal? Close(TimeSpan deadline) => Close(deadline, EngineStep.None);

    /// <inheritdoc cref="Close(TimeSpan)"/>
    /// <param name="deadline">How long to wait for the answer.</param>
    /// <param name="lastStep">The last step that uses the pool; workers that have submitted less wait for it. One that never comes keeps the memory until the workers leave.</param>
    public Refusal? Close(TimeSpan deadline, EngineStep lastStep)
    {
        EngineStep fence;
        lock (_lock)
        {
            if (_isClosed || (_withdrawn is not null && _withdrawn.Reason != RefusalReason.PoolLost))
            {
                return null;
            }

            fence = lastStep == EngineStep.Sync ? _lastStep : EngineStep.Later(_lastStep, lastStep);
            _isClosed = true;
            _withdrawn ??= new Refusal(RefusalReason.UnknownPool, $"{Id} was closed by its engine.");
        }

        if (_port.Ended is { } ended)
        {
            Forget();
            return ended;
        }

        var request = new PendingRequest((session, id, acked) => new EngineProtocol.ClosePool(session, id, acked, Id, fence), _ => Forget()) { Pool = Id };
        _port.Submit(request);
        var refusal = _port.IsOwnThread ? null : request.Wait(Deadlines.Clamp(deadline), $"The closing of {Id}").Refusal;

        // Of a lost pool the coordinator may have nothing left.
        return refusal?.Reason == RefusalReason.UnknownPool ? null : refusal;
    }

    /// <summary>Closes the pool, waiting at most for <see cref="KvSessionOptions.CloseTimeout"/>.</summary>
    public void Dispose() => Close(_port.CloseTimeout);

    /// <summary>Waits, unless the pool is gone.</summary>
    private bool IsWithdrawnWithin(TimeSpan time)
    {
        using var pause = new ManualResetEventSlim();
        return Withdrawn is not null || pause.Wait(time);
    }

    private static Refusal Unfitting(EngineProtocol.IReply reply) =>
        new(RefusalReason.InvalidMessage, $"The coordinator answered with {reply.GetType().Name}, which doesn't fit the request. Use a host and a library of one version.");

    private Refusal? FindObstacle() => Withdrawn ?? (_port.IsOwnThread
        ? new Refusal(RefusalReason.NotSupported, "A handler of the library's events can't wait for the coordinator, whose answer comes on the same thread. Have another thread ask.")
        : null);

    private bool TryAllocateFree(int group, Span<BlockId> blocks, out int missing)
    {
        lock (_lock)
        {
            missing = blocks.Length - _blocks.Groups[group].FreeBlockCount;
            return _withdrawn is null && _port.Lease.IsHeld && _blocks.TryAllocate(group, blocks);
        }
    }

    private bool TryAllocateEvicting(int group, Span<BlockId> blocks, out int missing)
    {
        bool isAllocated, wasEvicted;
        lock (_lock)
        {
            var allocator = _blocks.Groups[group];
            missing = blocks.Length - allocator.FreeBlockCount - allocator.CachedBlockCount;
            isAllocated = _withdrawn is null && _port.Lease.IsHeld && _blocks.TryAllocateEvicting(group, blocks);
            wasEvicted = !_evictions.IsEmpty;
        }

        Follow(wasEvicted, isLow: false);
        return isAllocated;
    }
}
