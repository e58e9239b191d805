using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <content>
/// Decisions: one at a time per pool, carried out by all its ranks. A map is granted when all ranks show the expected digest, else
/// undone on all of them; an unmap rolls forward only.
/// </content>
internal sealed partial class DomainState
{
    /// <summary>Starts what can be started: returns first, since they free memory, then requests in the order they came.</summary>
    private void Pump(PoolState pool)
    {
        while (pool.Phase == PoolPhase.Ready && pool.Flight is null)
        {
            if (pool.Frees.TryDequeue(out var free))
            {
                StartUnmap(pool, free);
                return;
            }

            if (pool.Allocations.First is not { } head || !TryStartOrRefuse(pool, head.Value))
            {
                return;
            }
        }
    }

    /// <summary>False when the request must go on waiting.</summary>
    private bool TryStartOrRefuse(PoolState pool, PendingAllocation waiting)
    {
        if (TryAnswerInherited(pool, waiting.Request))
        {
            EndHead(pool);
            return true;
        }

        if (RanksOf(pool).Unavailable is { } gpu)
        {
            EndHead(pool);
            Refuse(waiting.Request, RefusalReason.RankUnavailable, $"{WhyUnavailable(gpu)}; no page is granted that one rank of {pool.Id} doesn't have.");
            return true;
        }

        if (RanksOf(pool).Draining is { } drained)
        {
            EndHead(pool);
            Refuse(waiting.Request, WhyDraining(drained));
            return true;
        }

        if (FindRankWithoutWorker(pool) is { } detached)
        {
            EndHead(pool);
            Refuse(waiting.Request, RefusalReason.NotAttached, $"Rank {detached} of {pool.Id}, on {pool.Gpus[detached]}, has no worker attached; no page is granted that one rank doesn't have. Attach one, then ask again.");
            return true;
        }

        switch (ReserveMemory(pool, waiting, out var refusal))
        {
            case Reservation.Refused:
                EndHead(pool);
                Refuse(waiting.Request, refusal!);
                return true;
            case Reservation.Wait:
                return false;
        }

        var group = waiting.Request.Group;
        var allocation = pool.PageIds[group].TryAllocate(waiting.Request.PageCount, RanksOf(pool).LargestOrders[group]);
        if (!allocation.IsGranted)
        {
            CancelReservation(pool, waiting.Request);
            EndHead(pool);
            Refuse(waiting.Request, RefusalReason.VirtualSpaceExhausted,
                $"{pool.Id} group {group}: {waiting.Request.PageCount} page ids wanted, {allocation.FreePageCount} free ({allocation.Refusal}). Return extents, or open the pool with more virtual pages.");
            return true;
        }

        EndHead(pool);
        StartMap(pool, waiting, allocation.Extents);
        return true;
    }

    private void EndHead(PoolState pool)
    {
        pool.Allocations.RemoveFirst();
        StopWaitingForMemory(pool);
    }

    private void StartMap(PoolState pool, PendingAllocation waiting, ImmutableArray<Extent> extents)
    {
        var expected = pool.Table.Digest;
        foreach (var extent in extents)
        {
            expected = expected.With(extent);
        }

        var request = waiting.Request;
        DomainMeters.MapDecided(_now - waiting.ReceivedAt);
        Launch(pool, new Flight
        {
            Decision = new Decision(pool.Id, Epoch, ++pool.Seq, DecisionKind.Map, extents, 0, request.Session, request.Request, request.AckedThrough, EngineStep.None),
            Expected = expected,
            Awaiting = RankSet.All(pool.RankCount),
            DeadlineAt = Min(_now + _settings.DecisionDeadline, waiting.DeadlineAt),
            Allocation = waiting,
        }, _now - waiting.ReceivedAt);
    }

    private void StartUnmap(PoolState pool, PendingFree free)
    {
        pool.Leave(free.Extents);
        pool.Honour(free.Fence);
        Launch(pool, new Flight
        {
            Decision = new Decision(
                pool.Id, Epoch, ++pool.Seq, DecisionKind.Unmap, free.Extents, 0,
                free.Request?.Session ?? pool.Owner, free.Request?.Request ?? default, free.Request?.AckedThrough ?? default, free.Fence),
            Expected = pool.Table.Digest,
            Awaiting = RankSet.All(pool.RankCount),
            DeadlineAt = _now + _settings.DecisionDeadline,
            Free = free,
        }, _now - free.ReceivedAt);
    }

    /// <summary>Undoes the map in flight on all ranks; its page ids and bytes stay taken until all have said that they did.</summary>
    private void Abort(PoolState pool, Refusal because)
    {
        var (map, span) = (pool.Flight!.Decision, pool.Flight.Span);
        Refuse(pool.Flight.Allocation!.Request, because);
        span?.Fail(because.Reason, because.Detail);
        Meters.Aborts++;
        CommitReservation(pool, map.Extents);
        foreach (var extent in map.Extents)
        {
            pool.Leaving.Add(extent);
        }

        Launch(pool, new Flight
        {
            Decision = map with { Seq = ++pool.Seq, Kind = DecisionKind.Abort, AbortedSeq = map.Seq },
            Expected = pool.Table.Digest,
            Awaiting = RankSet.All(pool.RankCount),
            DeadlineAt = _now + _settings.DecisionDeadline,
        }, TimeSpan.Zero, span);
    }

    /// <summary>A rank's answer to a decision, or to a table.</summary>
    public void Decided(TimeSpan now, DecisionAnswer answer)
    {
        _now = now;
        if (answer.Outcome == DecisionOutcome.StaleEpoch)
        {
            // One that names this very epoch answers a predecessor's decision, and says nothing about ours of the same number.
            if (answer.Epoch > Epoch)
            {
                _port.StepDown(answer.Epoch);
            }

            return;
        }

        if (!_pools.TryGetValue(answer.Pool, out var pool) || pool.RankOf(answer.Gpu) is not (>= 0 and var rank))
        {
            return;
        }

        if (RanksOf(pool).Views[rank]?.Incarnation != answer.Incarnation || pool.Phase is not (PoolPhase.Ready or PoolPhase.Stopped))
        {
            // What counts is sent again, and answered again, when the pool is ready.
            return;
        }

        if (answer.Outcome == DecisionOutcome.NeedsTable)
        {
            // While tables are installed they are sent anyway.
            if (pool.Phase == PoolPhase.Ready && answer.Seq > pool.Progress[rank].AnsweredThrough && answer.Seq <= pool.Seq)
            {
                Stop(pool, $"{answer.Gpu} has no table of {pool.Id} in {Epoch}");
            }
        }
        else if (answer.Epoch != Epoch)
        {
            return;
        }
        else if (pool.Phase == PoolPhase.Stopped)
        {
            TableInstalled(pool, rank, answer);
        }
        else if (answer.Outcome == DecisionOutcome.Gap)
        {
            // From the last answer that came, not the last decision that arrived: answers may be lost too.
            Replay(pool, rank);
        }
        else if (pool.Log.TryFind(answer.Seq, out var entry))
        {
            TakeAnswer(pool, rank, answer, entry);
        }

        Pump(pool);
    }

    private void TakeAnswer(PoolState pool, int rank, DecisionAnswer answer, DecisionLog.Entry entry)
    {
        pool.Progress[rank].Answered(answer.Seq);
        DomainMeters.RankAnswered(answer.DriverMicroseconds);
        var flight = pool.Flight;
        var isInFlight = flight is not null && flight.Decision.Seq == answer.Seq;
        if (answer.Outcome == DecisionOutcome.Refused)
        {
            if (entry.Decision.Kind != DecisionKind.Map)
            {
                Stop(pool, $"{answer.Gpu} refused {entry.Decision}, which only moves forward: {answer.Refusal}");
            }
            else if (isInFlight)
            {
                Abort(pool, answer.Refusal ?? new Refusal(RefusalReason.DriverFailed, $"{answer.Gpu} refused {entry.Decision}."));
            }

            return;
        }

        // A rank that lags shows the digest of that earlier table: the log has what it must be.
        if (answer.Digest != entry.Expected)
        {
            Meters.DigestMismatches++;
            Stop(pool, $"{answer.Gpu} shows digest {answer.Digest} after {entry.Decision} instead of {entry.Expected}");
            return;
        }

        if (entry.Decision.Kind != DecisionKind.Map)
        {
            SettleLeaving(pool, rank, entry.Decision.Extents, answer.Quarantined);
        }

        if (isInFlight && flight!.Awaiting.Remove(rank) && flight.Awaiting.Count == 0)
        {
            Land(pool, flight);
        }
        else if (entry.Decision.Kind != DecisionKind.Map)
        {
            MemoryWasFreed();
        }
    }

    /// <summary>Every rank has answered.</summary>
    private void Land(PoolState pool, Flight flight)
    {
        pool.Flight = null;
        flight.Span?.Land();
        if (flight.Allocation is { } allocation)
        {
            CommitReservation(pool, flight.Decision.Extents);
            pool.Enter(flight.Decision);
            if (!IsOwnId(pool.Id))
            {
                // The request may be a copy of one that an earlier coordinator answered, of which its engine expects nothing.
                pool.Unconfirmed.Add(flight.Decision.Extents);
            }

            Meters.MapGranted(_now - allocation.ReceivedAt, _now - flight.StartedAt);
            Answer(new EngineProtocol.PagesAllocated(allocation.Request.Session, allocation.Request.Request, pool.Id, flight.Decision.Extents));
        }
        else if (flight.Free is { } free)
        {
            Meters.UnmapCompleted(_now - free.ReceivedAt);
            AnswerFreed(pool, free);
        }

        MemoryWasFreed();
    }

    private void ExpireFlight(PoolState pool)
    {
        if (pool.Phase != PoolPhase.Ready || pool.Flight is not { } flight || _now < flight.DeadlineAt)
        {
            return;
        }

        var missing = string.Join(", ", flight.Awaiting.Ranks().Select(r => pool.Gpus[r]));
        if (flight.Decision.Kind == DecisionKind.Map)
        {
            Abort(pool, new Refusal(RefusalReason.DeadlineExceeded, $"{missing} didn't map {flight.Decision.Extents.Length} extents of {pool.Id} in time; they are undone on all ranks."));
            return;
        }

        // Rolls forward: the extents stay out of the table, and wait in quarantine for the ranks that didn't answer.
        flight.Span?.Fail(RefusalReason.DeadlineExceeded, $"{missing} didn't unmap in time; the extents are quarantined.");
        foreach (var rank in flight.Awaiting.Ranks())
        {
            Quarantine(pool, rank, flight.Decision.Extents);
        }

        Land(pool, flight);
    }

    private static TimeSpan Min(TimeSpan left, TimeSpan right) => left < right ? left : right;
}
