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
        if (!_pools.TryGetValue(answer.Pool, out var pool) || pool.Owner != answer.Session || pool.Phase is not (PoolPhase.Ready or PoolPhase.Stopped))
        {
            return;
        }

        if (_revokes.TryGetValue(answer.RevokeId, out var revoke) && ReferenceEquals(revoke.Pool, pool))
        {
            _revokes.Remove(revoke.Id);
            pool.Warm = pool.Warm.RemoveAll(w => revoke.Extents.Contains(w.Extent));
        }

        // Also after the deadline, or for a revoke of an earlier coordinator: the engine doesn't use them any more.
        var givenUp = answer.GivenUp.IsDefault
            ? []
            : answer.GivenUp.Distinct().Where(e => pool.Holds(e) && !IsBeingFreed(pool, e)).ToImmutableArray();
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

            if (problem.Reason != LedgerRefusalReason.NotEnoughFree || IsAboveLimitElsewhere(pool, request, ref problem) || !TryAskBack(pool, request))
            {
                refusal = Describe(problem, problem.Gpu);
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

            // One that is being mended waits for that first, and must not keep others waiting.
            if (other.Phase == PoolPhase.Ready && other.Gpus.Any(pool.Gpus.Contains))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>True when the request breaks the pool's limit on any rank, so that no memory given back could help.</summary>
    private bool IsAboveLimitElsewhere(PoolState pool, EngineProtocol.AllocatePages request, ref LedgerRefusal problem)
    {
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            var ledger = _ranks[pool.Gpus[rank]].Ledger;
            var bytes = pool.Layouts[rank].ShapeOf(request.Group).BytesPerPageId * request.PageCount;
            if (ledger.TryReserve(pool.Id, bytes, out var refused))
            {
                ledger.Cancel(pool.Id, bytes);
            }
            else if (refused.Reason != LedgerRefusalReason.NotEnoughFree)
            {
                problem = refused;
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Asks other pools for warm extents, as many as are short on each GPU beyond what is coming back anyway. False, and nobody asked, when
    /// some GPU would be short even if all of them were given up.
    /// </summary>
    private bool TryAskBack(PoolState pool, EngineProtocol.AllocatePages request)
    {
        var chosen = new HashSet<(PoolId Pool, Extent Extent)>();
        for (var i = 0; i < pool.RankCount; i++)
        {
            var rank = pool.RanksInGpuOrder[i];
            var gpu = pool.Gpus[rank];
            var wanted = pool.Layouts[rank].ShapeOf(request.Group).BytesPerPageId * request.PageCount;
            var shortage = wanted - _ranks[gpu].Ledger.AvailableBytes(pool.Id) - ComingBack(gpu);
            foreach (var (holder, extent) in chosen)
            {
                var holderRank = _pools[holder].RankOf(gpu);
                shortage -= holderRank < 0 ? 0 : _pools[holder].Layouts[holderRank].BytesOf(extent);
            }

            if (shortage > 0)
            {
                var plan = ReclaimPlan.Choose(shortage, pool.Id, WarmOn(gpu, pool).Where(w => !chosen.Contains((w.Pool, w.Extent))), _ranks[gpu].Ledger);
                if (plan.MissingBytes > 0)
                {
                    return false;
                }

                chosen.UnionWith(plan.Revocations.Select(r => (r.Pool, r.Extent)));
            }
        }

        foreach (var group in chosen.GroupBy(c => c.Pool))
        {
            var holder = _pools[group.Key];
            var revoke = new Revoke(++_lastRevokeId, holder, [.. group.Select(c => c.Extent)], _now + _settings.RevokeDeadline);
            _revokes.Add(revoke.Id, revoke);
            Meters.Revokes += revoke.Extents.Length;
            _port.ToEngine(holder.Owner, new EngineProtocol.RevokeExtents(holder.Owner, holder.Id, revoke.Id, revoke.Extents));
        }

        return true;
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

    private void ExpireRevokes()
    {
        var expired = _revokes.Values.Where(r => r.DeadlineAt <= _now).ToArray();
        foreach (var revoke in expired)
        {
            // No answer means not reclaimed; a late one still counts. The engine reports its warm extents again when it can.
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

            // Floors above the limit that was asked for are refused before: here the limit is all that the GPU lends.
            LedgerRefusalReason.FloorsExceedCapacity or LedgerRefusalReason.FloorInUse or LedgerRefusalReason.LimitBelowFloor => RefusalReason.FloorDoesNotFit,
            _ => RefusalReason.BadLimit,
        },
        $"{gpu}: {refusal} {HoldersOn(gpu)}", refusal.RequestedBytes, refusal.FreeBytes);

    private string HoldersOn(GpuId gpu) => "Held: " + (string.Join(", ", _pools.Values
        .Where(p => p.RankOf(gpu) >= 0)
        .Select(p => $"{p.Spec.Name} {Core.Units.ByteSize.Format(p.BytesOn(p.RankOf(gpu), [.. p.Table.Enumerate()]))}")) is { Length: > 0 } holders ? holders : "nothing") + ".";
}
