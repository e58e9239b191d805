using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Coordination;

/// <content>
/// Memory: set aside on every GPU of a pool or on none, in a fixed order of GPUs. When one has too little, warm extents of other pools are
/// asked back, longest idle first. Who came first is served first: nobody passes a waiting request on a GPU that both need.
/// </content>
internal sealed partial class DomainState
{
    private readonly List<PoolState> _waitingForMemory = [];
    private readonly Dictionary<long, Revoke> _revokes = [];
    private long _lastRevokeId;
    private bool _isServingWaiters;

    private enum Reservation
    {
        Done,
        Wait,
        Refused,
    }

    private sealed record Revoke(long Id, PoolState Pool, ImmutableArray<Extent> Extents, TimeSpan DeadlineAt);

    /// <summary>An engine says which of the extents asked back it gave up.</summary>
    public void RevokeAnswered(TimeSpan now, EngineProtocol.RevokeAnswered answer)
    {
        _now = now;
        if (!_revokes.TryGetValue(answer.RevokeId, out var revoke) || revoke.Pool.Id != answer.Pool || revoke.Pool.Owner != answer.Session)
        {
            return;
        }

        _revokes.Remove(answer.RevokeId);
        var pool = revoke.Pool;
        var givenUp = answer.GivenUp.IsDefault
            ? []
            : answer.GivenUp.Distinct().Where(e => revoke.Extents.Contains(e) && pool.Holds(e) && !IsBeingFreed(pool, e)).ToImmutableArray();
        pool.Warm = pool.Warm.RemoveAll(w => revoke.Extents.Contains(w.Extent));
        if (givenUp.Length > 0)
        {
            EnqueueFree(pool, new PendingFree(null, givenUp, now));
            Pump(pool);
        }

        MemoryWasFreed();
    }

    private Reservation ReserveMemory(PoolState pool, PendingAllocation waiting, out Refusal? refusal)
    {
        refusal = null;
        if (IsBehindAnother(pool))
        {
            WaitForMemory(pool);
            return Reservation.Wait;
        }

        var request = waiting.Request;
        for (var i = 0; i < pool.RankCount; i++)
        {
            var rank = pool.RanksInGpuOrder[i];
            var view = _ranks[pool.Gpus[rank]];
            var bytes = pool.Layouts[rank].ShapeOf(request.Group).BytesPerPageId * request.PageCount;
            if (view.Ledger.TryReserve(pool.Id, bytes, out var problem))
            {
                continue;
            }

            for (var earlier = 0; earlier < i; earlier++)
            {
                var r = pool.RanksInGpuOrder[earlier];
                _ranks[pool.Gpus[r]].Ledger.Cancel(pool.Id, pool.Layouts[r].ShapeOf(request.Group).BytesPerPageId * request.PageCount);
            }

            if (problem.Reason != LedgerRefusalReason.NotEnoughFree)
            {
                refusal = Describe(problem, view.Gpu);
                return Reservation.Refused;
            }

            AskBack(pool, request);
            if (!IsReliefComing(pool))
            {
                refusal = Describe(problem, view.Gpu);
                return Reservation.Refused;
            }

            WaitForMemory(pool);
            return Reservation.Wait;
        }

        return Reservation.Done;
    }

    private void CancelReservation(PoolState pool, EngineProtocol.AllocatePages request)
    {
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            _ranks[pool.Gpus[rank]].Ledger.Cancel(pool.Id, pool.Layouts[rank].ShapeOf(request.Group).BytesPerPageId * request.PageCount);
        }
    }

    private void CommitReservation(PoolState pool, ImmutableArray<Extent> extents)
    {
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            if (_ranks.TryGetValue(pool.Gpus[rank], out var view))
            {
                view.Ledger.Commit(pool.Id, pool.BytesOn(rank, extents));
            }
        }
    }

    /// <summary>A rank has carried out an unmap or an abort: what it let go is free there, the rest is quarantined.</summary>
    private void SettleLeaving(PoolState pool, int rank, ImmutableArray<Extent> extents, ImmutableArray<Extent> quarantined)
    {
        foreach (var extent in extents)
        {
            if (!pool.Leaving.IsHeldBy(extent, rank))
            {
                continue;
            }

            if (!quarantined.IsDefaultOrEmpty && quarantined.Contains(extent))
            {
                Quarantine(pool, rank, [extent]);
            }
            else
            {
                Release(pool, rank, extent);
            }
        }
    }

    private void Quarantine(PoolState pool, int rank, ImmutableArray<Extent> extents)
    {
        foreach (var extent in extents)
        {
            if (pool.Leaving.MarkQuarantined(extent, rank))
            {
                Meters.Quarantines++;
                _ranks[pool.Gpus[rank]].Ledger.Quarantine(pool.Id, pool.Layouts[rank].BytesOf(extent));
            }
        }
    }

    private void Release(PoolState pool, int rank, Extent extent)
    {
        var ledger = _ranks[pool.Gpus[rank]].Ledger;
        var bytes = pool.Layouts[rank].BytesOf(extent);
        if (pool.Leaving.IsQuarantinedOn(extent, rank))
        {
            ledger.Unquarantine(pool.Id, bytes);
        }
        else
        {
            ledger.Free(pool.Id, bytes);
        }

        if (pool.Leaving.Release(extent, rank))
        {
            pool.PageIds[extent.Group].Return(extent);
        }
    }

    /// <summary>Serves those who wait, in the order they came.</summary>
    private void MemoryWasFreed()
    {
        if (_isServingWaiters)
        {
            return;
        }

        _isServingWaiters = true;
        foreach (var pool in _waitingForMemory.ToArray())
        {
            Pump(pool);
        }

        _isServingWaiters = false;
    }

    private void WaitForMemory(PoolState pool)
    {
        if (!pool.IsWaitingForMemory)
        {
            pool.IsWaitingForMemory = true;
            _waitingForMemory.Add(pool);
        }
    }

    private void StopWaitingForMemory(PoolState pool)
    {
        if (pool.IsWaitingForMemory)
        {
            pool.IsWaitingForMemory = false;
            _waitingForMemory.Remove(pool);
            MemoryWasFreed();
        }
    }

    /// <summary>True when a request that came earlier waits for memory of a GPU that this pool needs too.</summary>
    private bool IsBehindAnother(PoolState pool)
    {
        foreach (var other in _waitingForMemory)
        {
            if (ReferenceEquals(other, pool))
            {
                return false;
            }

            if (other.Gpus.Any(pool.Gpus.Contains))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Asks other pools for warm extents, as many as are short on each GPU, unless that many have been asked for already.</summary>
    private void AskBack(PoolState pool, EngineProtocol.AllocatePages request)
    {
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            var gpu = pool.Gpus[rank];
            var wanted = pool.Layouts[rank].ShapeOf(request.Group).BytesPerPageId * request.PageCount;
            var shortage = wanted - _ranks[gpu].Ledger.AvailableBytes(pool.Id) - ComingBack(gpu);
            if (shortage > 0)
            {
                var plan = ReclaimPlan.Choose(shortage, pool.Id, WarmOn(gpu, pool), _ranks[gpu].Ledger);
                foreach (var group in plan.Revocations.GroupBy(c => c.Pool))
                {
                    Send(_pools[group.Key], [.. group.Select(c => c.Extent)]);
                }
            }
        }

        void Send(PoolState holder, ImmutableArray<Extent> extents)
        {
            var revoke = new Revoke(++_lastRevokeId, holder, extents, _now + _settings.RevokeDeadline);
            _revokes.Add(revoke.Id, revoke);
            Meters.Revokes += extents.Length;
            _port.ToEngine(holder.Owner, new EngineProtocol.RevokeExtents(holder.Owner, holder.Id, revoke.Id, extents));
        }
    }

    /// <summary>Warm extents of other pools on that GPU that nobody has been asked for yet.</summary>
    private IEnumerable<WarmReport> WarmOn(GpuId gpu, PoolState asking)
    {
        foreach (var holder in _pools.Values)
        {
            var rank = holder.RankOf(gpu);
            if (rank < 0 || ReferenceEquals(holder, asking) || holder.Phase != PoolPhase.Ready)
            {
                continue;
            }

            foreach (var warm in holder.Warm)
            {
                if (holder.Holds(warm.Extent) && !IsBeingFreed(holder, warm.Extent) && !IsRevoked(holder, warm.Extent))
                {
                    yield return new WarmReport(holder.Id, warm.Extent, holder.Layouts[rank].BytesOf(warm.Extent), holder.WarmReportedAt - warm.Idle);
                }
            }
        }
    }

    private bool IsRevoked(PoolState pool, Extent extent) =>
        _revokes.Values.Any(r => ReferenceEquals(r.Pool, pool) && r.Extents.Contains(extent));

    /// <summary>Bytes on that GPU that have been asked back, or are being unmapped.</summary>
    private long ComingBack(GpuId gpu)
    {
        var bytes = 0L;
        foreach (var revoke in _revokes.Values)
        {
            var rank = revoke.Pool.RankOf(gpu);
            bytes += rank < 0 ? 0 : revoke.Pool.BytesOn(rank, revoke.Extents);
        }

        foreach (var pool in _pools.Values)
        {
            var rank = pool.RankOf(gpu);
            if (rank < 0)
            {
                continue;
            }

            foreach (var free in pool.Frees)
            {
                bytes += pool.BytesOn(rank, free.Extents);
            }

            foreach (var extent in pool.Leaving.Extents)
            {
                if (pool.Leaving.IsHeldBy(extent, rank) && !pool.Leaving.IsQuarantinedOn(extent, rank))
                {
                    bytes += pool.Layouts[rank].BytesOf(extent);
                }
            }

            if (pool.Phase == PoolPhase.Closing && pool.PhaseAwaiting.Contains(rank))
            {
                bytes += pool.BytesOn(rank, [.. pool.Table.Enumerate()]);
            }
        }

        return bytes;
    }

    private bool IsReliefComing(PoolState pool) => pool.Gpus.Any(gpu => ComingBack(gpu) > 0);

    private void ExpireRevokes()
    {
        var expired = _revokes.Values.Where(r => r.DeadlineAt <= _now).ToArray();
        foreach (var revoke in expired)
        {
            // No answer means not reclaimed. The engine reports its warm extents again when it can.
            _revokes.Remove(revoke.Id);
            revoke.Pool.Warm = revoke.Pool.Warm.RemoveAll(w => revoke.Extents.Contains(w.Extent));
        }

        if (expired.Length > 0)
        {
            MemoryWasFreed();
        }
    }

    private void DropRevokesOf(PoolState pool)
    {
        foreach (var revoke in _revokes.Values.Where(r => ReferenceEquals(r.Pool, pool)).ToArray())
        {
            _revokes.Remove(revoke.Id);
        }
    }

    private Refusal OutOfMemory(PoolState pool, PendingAllocation waiting)
    {
        var worst = pool.Gpus.MinBy(gpu => _ranks.TryGetValue(gpu, out var view) ? view.Ledger.AvailableBytes(pool.Id) : 0);
        var bytes = pool.Layouts[pool.RankOf(worst)].ShapeOf(waiting.Request.Group).BytesPerPageId * waiting.Request.PageCount;
        var free = _ranks.TryGetValue(worst, out var shortOne) ? shortOne.Ledger.AvailableBytes(pool.Id) : 0;
        return new Refusal(RefusalReason.OutOfMemory,
            $"{worst}: {Core.Units.ByteSize.Format(bytes)} wanted, {Core.Units.ByteSize.Format(free)} free; nobody gave up enough within {waiting.Request.Deadline.TotalMilliseconds:0} ms. {HoldersOn(worst)}",
            bytes, free);
    }

    private Refusal Describe(LedgerRefusal refusal, GpuId gpu) => new(
        refusal.Reason switch
        {
            LedgerRefusalReason.NotEnoughFree => RefusalReason.OutOfMemory,
            LedgerRefusalReason.LimitReached => RefusalReason.LimitExceeded,
            LedgerRefusalReason.FloorsExceedCapacity or LedgerRefusalReason.FloorInUse => RefusalReason.FloorDoesNotFit,
            _ => RefusalReason.BadLimit,
        },
        $"{gpu}: {refusal} {HoldersOn(gpu)}", refusal.RequestedBytes, refusal.FreeBytes);

    private string HoldersOn(GpuId gpu) => "Held: " + (string.Join(", ", _pools.Values
        .Where(p => p.RankOf(gpu) >= 0)
        .Select(p => $"{p.Spec.Name} {Core.Units.ByteSize.Format(p.BytesOn(p.RankOf(gpu), [.. p.Table.Enumerate()]))}")) is { Length: > 0 } holders ? holders : "nothing") + ".";
}
