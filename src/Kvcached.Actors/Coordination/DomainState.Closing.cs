using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;

namespace Kvcached.Actors.Coordination;

/// <content>Closing pools: whoever waits is answered, and every rank releases all of it.</content>
internal sealed partial class DomainState
{
    private void ClosePool(EngineProtocol.ClosePool request, SessionState session)
    {
        if (TryFindOwnPool(request, request.Pool, session, out var pool))
        {
            pool.CloseFence = request.Fence;
            BeginClosing(pool, request, null);
        }
    }

    /// <summary>From here on the pool only shrinks: requests are refused, and every rank releases all of it.</summary>
    private void BeginClosing(PoolState pool, EngineProtocol.IRequest? closer, Refusal? because)
    {
        if (pool.Phase == PoolPhase.Closing)
        {
            return;
        }

        var reason = because ?? new Refusal(RefusalReason.UnknownPool, $"{pool.Id} is being closed.");
        if (pool.Opener is { } opener)
        {
            Refuse(opener, reason);
        }

        if (pool.Flight is { } flight)
        {
            flight.Span?.Fail(reason.Reason, reason.Detail);
            if (flight.Allocation is { } inFlight)
            {
                Refuse(inFlight.Request, reason);
            }

            AnswerFreed(pool, flight.Free);
        }

        foreach (var waiting in pool.Allocations)
        {
            Refuse(waiting.Request, reason);
        }

        foreach (var free in pool.Frees)
        {
            AnswerFreed(pool, free);
        }

        pool.Allocations.Clear();
        pool.Frees.Clear();
        pool.Flight = null;
        StopWaitingForMemory(pool);
        DropRevokesOf(pool);
        pool.Phase = PoolPhase.Closing;
        pool.Opener = closer;
        pool.PhaseDeadlineAt = _now + _settings.OpenDeadline;
        pool.PhaseAwaiting = RankSet.Empty(pool.RankCount);
        pool.OrphanedUntil = null;
        pool.AwaitedHosts.Clear();
        if (because is not null && pool.Owner != default)
        {
            _port.ToEngine(pool.Owner, new EngineProtocol.PoolWithdrawn(pool.Owner, pool.Id, because));
        }

        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            // A rank that is gone has nothing to release.
            if (_ranks.ContainsKey(pool.Gpus[rank]))
            {
                pool.PhaseAwaiting.Add(rank);
                SendPhaseCommand(pool, rank);
            }
        }

        FinishClosing(pool);
    }

    private void FinishClosing(PoolState pool)
    {
        if (pool.PhaseAwaiting.Count > 0)
        {
            return;
        }

        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            LetGo(pool, rank);
        }

        _pools.Remove(pool.Id);
        Note(DomainEventKinds.PoolClosed, $"{pool.Id} holds nothing any more", pool);
        if (!IsOwnId(pool.Id))
        {
            _closedPools.Add(pool.Id);
        }

        if (_poolNames.TryGetValue(pool.Spec.Name, out var named) && named == pool.Id)
        {
            _poolNames.Remove(pool.Spec.Name);
        }

        if (_sessions.TryGetValue(pool.Owner, out var session))
        {
            session.Pools.Remove(pool.Id);
        }

        if (pool.TakeOpener() is { } closer)
        {
            if (pool.OpenRefusal is { } refusal)
            {
                Refuse(closer, refusal);
            }
            else
            {
                Answer(new EngineProtocol.PoolClosed(closer.Session, closer.Request, pool.Id));
            }
        }

        MemoryWasFreed();
    }

    private void LetGo(PoolState pool, int rank)
    {
        if (_ranks.TryGetValue(pool.Gpus[rank], out var view))
        {
            view.Ledger.Forget(pool.Id);
        }
    }
}
