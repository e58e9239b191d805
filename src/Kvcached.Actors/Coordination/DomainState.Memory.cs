using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Coordination;

/// <content>
/// Memory: set aside on every GPU of a pool or on none, in a fixed order of GPUs. When one has too little, warm extents of other pools are
/// asked back, longest idle first; if they don't suffice, pools above their share are asked to shrink. Who came first is served first: nobody passes a waiting request on a GPU that both need.
/// </content>
internal sealed partial class DomainState
{
    private readonly List<PoolState> _waitingForMemory = [];
    private bool _isServingWaiters;

    private enum Reservation
    {
        Done,
        Wait,
        Refused,
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
        var accounts = RanksOf(pool).Accounts;
        var bytesPerPageId = pool.BytesPerPageId[request.Group];
        for (var i = 0; i < pool.RankCount; i++)
        {
            var rank = pool.RanksInGpuOrder[i];
            if (accounts[rank]!.TryReserve(bytesPerPageId[rank] * request.PageCount, out var problem))
            {
                continue;
            }

            for (var earlier = 0; earlier < i; earlier++)
            {
                var r = pool.RanksInGpuOrder[earlier];
                accounts[r]!.Cancel(bytesPerPageId[r] * request.PageCount);
            }

            if (!IsReclaimable(problem) || IsAboveLimitElsewhere(pool, request, ref problem) || !TryAskBack(pool, waiting))
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
        var accounts = RanksOf(pool).Accounts;
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            accounts[rank]!.Cancel(pool.BytesPerPageId[request.Group][rank] * request.PageCount);
        }
    }

    /// <summary>What a map reserved is used from now on; its extents are all of one KV group.</summary>
    private void CommitReservation(PoolState pool, ImmutableArray<Extent> extents)
    {
        var pageCount = 0;
        foreach (var extent in extents)
        {
            pageCount += extent.PageCount;
        }

        var ranks = RanksOf(pool);
        var bytesPerPageId = pool.BytesPerPageId[extents[0].Group];
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            // A rank that is gone has no account any more.
            if (ranks.Views[rank] is not null)
            {
                ranks.Accounts[rank]!.Commit(bytesPerPageId[rank] * pageCount);
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
        var ledger = RanksOf(pool).Views[rank]!.Ledger;
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
            else if (refused.Reason is not (LedgerRefusalReason.NotEnoughFree or LedgerRefusalReason.DeviceShort))
            {
                problem = refused;
                return true;
            }
        }

        return false;
    }

    private Refusal OutOfMemory(PoolState pool, PendingAllocation waiting)
    {
        var worst = pool.Gpus.MinBy(gpu => _ranks.TryGetValue(gpu, out var view) ? view.Ledger.AvailableBytes(pool.Id) : 0);
        var bytes = pool.Layouts[pool.RankOf(worst)].ShapeOf(waiting.Request.Group).BytesPerPageId * waiting.Request.PageCount;
        var free = _ranks.TryGetValue(worst, out var shortOne) ? shortOne.Ledger.AvailableBytes(pool.Id) : 0;
        return new Refusal(OthersOn(worst).Length > 0 ? RefusalReason.DeviceShort : RefusalReason.OutOfMemory,
            $"{worst}: {Core.Units.ByteSize.Format(bytes)} wanted, {Core.Units.ByteSize.Format(free)} free; nobody gave up enough within {waiting.Request.Deadline.TotalMilliseconds:0} ms. {HoldersOn(worst)}{OthersOn(worst)}",
            bytes, free);
    }

    private Refusal Describe(LedgerRefusal refusal, GpuId gpu) => new(
        refusal.Reason switch
        {
            LedgerRefusalReason.NotEnoughFree => RefusalReason.OutOfMemory,
            LedgerRefusalReason.DeviceShort => RefusalReason.DeviceShort,
            LedgerRefusalReason.LimitReached => RefusalReason.LimitExceeded,

            // Floors above the limit that was asked for are refused before: here the limit is all that the GPU lends.
            LedgerRefusalReason.FloorsExceedCapacity or LedgerRefusalReason.FloorInUse or LedgerRefusalReason.LimitBelowFloor => RefusalReason.FloorDoesNotFit,
            _ => RefusalReason.BadLimit,
        },
        $"{gpu}: {refusal} {HoldersOn(gpu)}{OthersOn(gpu)}", refusal.RequestedBytes, refusal.FreeBytes);

    private string HoldersOn(GpuId gpu) => "Held: " + (string.Join(", ", _pools.Values
        .Where(p => p.RankOf(gpu) >= 0)
        .Select(p => $"{p.Spec.Name} {Core.Units.ByteSize.Format(p.BytesOn(p.RankOf(gpu), [.. p.Table.Enumerate()]))}")) is { Length: > 0 } holders ? holders : "nothing") + ".";
}
