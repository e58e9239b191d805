using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <content>Requests for pages and for their return: checked, and put in their pool's queue.</content>
internal sealed partial class DomainState
{
    private void Allocate(EngineProtocol.AllocatePages request, SessionState session)
    {
        if (!TryFindOwnPool(request, request.Pool, session, out var pool) || IsRefusedAsLost(request, pool))
        {
            return;
        }

        if (request.Group < 0 || request.Group >= pool.PageIds.Length)
        {
            Refuse(request, RefusalReason.InvalidCount, $"{pool.Id} has no KV group {request.Group}; it has {pool.PageIds.Length}, from 0.");
            return;
        }

        var pageIds = pool.PageIds[request.Group];
        if (request.PageCount < 1 || request.PageCount > pageIds.VirtualPageCount)
        {
            Refuse(request, RefusalReason.InvalidCount, $"{request.PageCount} pages of {pool.Id} group {request.Group}: ask for 1 to {pageIds.VirtualPageCount}, its virtual pages.");
            return;
        }

        if (request.Deadline <= TimeSpan.Zero || request.Deadline > _settings.MaxRequestDeadline)
        {
            Refuse(request, RefusalReason.InvalidCount, $"A deadline of {request.Deadline.TotalMilliseconds:0} ms: give more than 0 and at most {_settings.MaxRequestDeadline.TotalMinutes:0} minutes.");
            return;
        }

        if (pool.Phase == PoolPhase.Stranded)
        {
            RefuseStranded(pool, request);
            return;
        }

        if (pool.Allocations.Count >= _settings.MaxWaitingRequestsPerPool)
        {
            Refuse(request, RefusalReason.Busy, $"{pool.Allocations.Count} requests wait for {pool.Id} already. Ask for more pages at once, less often.");
            return;
        }

        pool.Allocations.AddLast(new PendingAllocation(request, _now, _now + request.Deadline));
        Pump(pool);
    }

    private void Free(EngineProtocol.FreeExtents request, SessionState session)
    {
        if (!TryFindOwnPool(request, request.Pool, session, out var pool) || IsRefusedAsLost(request, pool))
        {
            return;
        }

        if (request.Extents.IsDefaultOrEmpty)
        {
            Refuse(request, RefusalReason.InvalidCount, $"No extents of {pool.Id} were named.");
            return;
        }

        var seen = new HashSet<Extent>();
        foreach (var extent in request.Extents)
        {
            if (!pool.Holds(extent) || IsBeingFreed(pool, extent) || !seen.Add(extent))
            {
                Refuse(request, RefusalReason.StaleExtent, $"{extent} isn't mapped in {pool.Id}, or not any more under that generation. None of the {request.Extents.Length} was freed.");
                return;
            }
        }

        if (pool.Frees.Count >= _settings.MaxWaitingRequestsPerPool)
        {
            Refuse(request, RefusalReason.Busy, $"{pool.Frees.Count} returns wait for {pool.Id} already. Return more extents at once, less often.");
            return;
        }

        EnqueueFree(pool, new PendingFree(request, request.Extents, request.Fence, _now));
        Pump(pool);
    }

    private bool IsRefusedAsLost(EngineProtocol.IRequest request, PoolState pool)
    {
        if (pool.Loss is { } loss)
        {
            Refuse(request, loss);
        }

        return pool.Loss is not null;
    }

    /// <summary>All that wait for pages, who don't any more.</summary>
    private PendingAllocation[] TakeWaiting(PoolState pool)
    {
        PendingAllocation[] waiting = [.. pool.Allocations];
        pool.Allocations.Clear();
        DropRevokesOf(pool);
        pool.Warm = [];
        StopWaitingForMemory(pool);
        return waiting;
    }

    private static bool IsBeingFreed(PoolState pool, Extent extent)
    {
        foreach (var free in pool.Frees)
        {
            if (free.Extents.Contains(extent))
            {
                return true;
            }
        }

        return false;
    }

    private void EnqueueFree(PoolState pool, PendingFree free)
    {
        NoteShrunk(pool, free.Extents);
        pool.Warm = pool.Warm.RemoveAll(w => free.Extents.Contains(w.Extent));
        pool.Frees.Enqueue(free);
    }

    private void ExpireAllocations(PoolState pool)
    {
        for (var node = pool.Allocations.First; node is not null;)
        {
            var next = node.Next;
            if (node.Value.DeadlineAt <= _now)
            {
                var wasHead = node.Previous is null;
                pool.Allocations.Remove(node);
                Refuse(node.Value.Request, WhyStillWaiting(pool, node.Value, wasHead));
                if (wasHead)
                {
                    StopWaitingForMemory(pool);
                }
            }

            node = next;
        }
    }

    /// <summary>Returns whose turn doesn't come are answered: the extents are given back, and leave when it does.</summary>
    private void ExpireFrees(PoolState pool)
    {
        foreach (var free in pool.Frees)
        {
            if (_now - free.ReceivedAt >= _settings.ReturnDeadline)
            {
                AnswerFreed(pool, free);
                free.Request = null;
            }
        }
    }

    private Refusal WhyStillWaiting(PoolState pool, PendingAllocation waiting, bool isHead)
    {
        if (isHead && pool.IsWaitingForMemory)
        {
            return OutOfMemory(pool, waiting);
        }

        if (FindAwaited(pool) is { } awaited)
        {
            return new Refusal(RefusalReason.RankUnavailable, $"{WhyUnavailable(awaited)}. It wasn't done within {waiting.Request.Deadline.TotalMilliseconds:0} ms. Try again.");
        }

        if (pool.Phase != PoolPhase.Recovering && RanksOf(pool).Unavailable is { } gpu)
        {
            return new Refusal(RefusalReason.RankUnavailable, $"{gpu} couldn't be reached before the deadline of {waiting.Request.Deadline.TotalMilliseconds:0} ms.");
        }

        return pool.Phase switch
        {
            PoolPhase.Ready => new Refusal(RefusalReason.DeadlineExceeded, $"{pool.Id} was busy with earlier decisions for {waiting.Request.Deadline.TotalMilliseconds:0} ms."),
            PoolPhase.Recovering => new Refusal(RefusalReason.Recovering, $"Not every rank of {pool.Id} has said yet what it holds. Try again."),
            _ => new Refusal(RefusalReason.PoolStopped, $"The table of {pool.Id} was being installed anew for {waiting.Request.Deadline.TotalMilliseconds:0} ms. Try again."),
        };
    }

    private void AnswerFreed(PoolState pool, PendingFree? free)
    {
        if (free?.Request is { } request)
        {
            Answer(new EngineProtocol.ExtentsFreed(request.Session, request.Request, pool.Id));
        }
    }
}
