using System.Collections.Immutable;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Coordination;

/// <content>Asking other pools for warm extents when a GPU is short of memory.</content>
internal sealed partial class DomainState
{
    private readonly Dictionary<long, Revoke> _revokes = [];
    private long _lastRevokeId;

    private sealed record Revoke(long Id, PoolState Pool, ImmutableArray<Extent> Extents, TimeSpan DeadlineAt)
    {
        /// <summary>The operator who had the pool trimmed; 0 = it is for another pool, or for a limit.</summary>
        public long Ticket { get; init; }
    }

    /// <summary>An engine says which of the extents asked back it gave up.</summary>
    public void RevokeAnswered(TimeSpan now, EngineProtocol.RevokeAnswered answer)
    {
        _now = now;
        if (!_pools.TryGetValue(answer.Pool, out var pool) || pool.Owner != answer.Session || pool.Phase is not (PoolPhase.Ready or PoolPhase.Stopped or PoolPhase.Stranded))
        {
            return;
        }

        // Also after the deadline, or for a revoke of an earlier coordinator: the engine doesn't use them any more.
        var givenUp = answer.GivenUp.IsDefault
            ? []
            : answer.GivenUp.Distinct().Where(e => pool.Holds(e) && !IsBeingFreed(pool, e)).ToImmutableArray();
        RaiseFences(pool, answer);
        if (givenUp.Length > 0)
        {
            EnqueueFree(pool, new PendingFree(null, givenUp, answer.Fence, now));
        }

        // Only now: until then its extents count as revoked, not as given up for a shrink.
        if (_revokes.TryGetValue(answer.RevokeId, out var revoke) && ReferenceEquals(revoke.Pool, pool))
        {
            _revokes.Remove(revoke.Id);
            pool.Warm = pool.Warm.RemoveAll(w => revoke.Extents.Contains(w.Extent));
            AnswerTrim(revoke, answer.GivenUp.IsDefault ? [] : answer.GivenUp);
        }

        Pump(pool);

        MemoryWasFreed();
    }

    /// <summary>Extents that are returned and revoked at once leave after the later of the two fences.</summary>
    private static void RaiseFences(PoolState pool, EngineProtocol.RevokeAnswered answer)
    {
        foreach (var free in pool.Frees)
        {
            if (!answer.GivenUp.IsDefault && free.Extents.Any(e => answer.GivenUp.Contains(e)))
            {
                free.Fence = EngineStep.Later(free.Fence, answer.Fence);
            }
        }
    }

    /// <summary>
    /// Asks other pools for warm extents, as many as are short on each GPU beyond what is coming back anyway. False, and nobody asked, when
    /// some GPU would be short even if all of them were given up and those above their share shrank to it.
    /// </summary>
    private bool TryAskBack(PoolState pool, PendingAllocation waiting)
    {
        var request = waiting.Request;
        var shrinks = new List<(PoolState Pool, GpuId Gpu, long ByteCount)>();
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

            if (shortage > 0 && IsDeviceShort(gpu))
            {
                // What comes back there is for others on the device.
                return false;
            }

            if (shortage > 0)
            {
                var plan = ReclaimPlan.Choose(shortage, pool.Id, WarmOn(gpu, pool).Where(w => !chosen.Contains((w.Pool, w.Extent))), _ranks[gpu].Ledger);
                if (plan.MissingBytes > 0 && !TryPlanShrinks(pool, gpu, wanted, plan.MissingBytes, plan, shrinks))
                {
                    return false;
                }

                chosen.UnionWith(plan.Revocations.Select(r => (r.Pool, r.Extent)));
            }
        }

        AskForWarm(chosen);
        AskToShrink(shrinks, waiting.DeadlineAt);
        return true;
    }

    private void AskForWarm(IEnumerable<(PoolId Pool, Extent Extent)> chosen)
    {
        foreach (var group in chosen.GroupBy(c => c.Pool))
        {
            AskForWarm(_pools[group.Key], [.. group.Select(c => c.Extent)], ticket: 0);
        }
    }

    /// <summary>Warm extents on that GPU that nobody has been asked for yet, those of the pool that asks left out.</summary>
    private IEnumerable<WarmReport> WarmOn(GpuId gpu, PoolState? asking)
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
        foreach (var pool in _pools.Values)
        {
            // What waits for a host, or for an engine to be quiet, may take any time.
            var rank = pool.RankOf(gpu);
            bytes += rank < 0 || pool.Phase is PoolPhase.Stranded or PoolPhase.Lost ? 0 : ComingBack(pool, rank);
        }

        return bytes;
    }

    private long ComingBack(PoolState pool, int rank)
    {
        var bytes = 0L;
        foreach (var revoke in _revokes.Values)
        {
            bytes += ReferenceEquals(revoke.Pool, pool) ? pool.BytesOn(rank, revoke.Extents) : 0;
        }

        foreach (var shrink in _shrinks.Values)
        {
            bytes += ReferenceEquals(shrink.Pool, pool) ? Math.Max(0, shrink.MissingBytes[rank]) : 0;
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

        return bytes;
    }

    private void ExpireRevokes()
    {
        var expired = _revokes.Values.Where(r => r.DeadlineAt <= _now).ToArray();
        foreach (var revoke in expired)
        {
            // No answer means not reclaimed; a late one still counts. Nor is an engine asked further that doesn't answer: it reports its warm
            // extents again when it can.
            _revokes.Remove(revoke.Id);
            revoke.Pool.Warm = [];
            PauseShrinking(revoke.Pool);
            AnswerTrim(revoke, []);
        }

        if (expired.Length > 0)
        {
            MemoryWasFreed();
        }
    }

    private void DropRevokesOf(PoolState pool)
    {
        DropShrinksOf(pool);
        foreach (var revoke in _revokes.Values.Where(r => ReferenceEquals(r.Pool, pool)).ToArray())
        {
            _revokes.Remove(revoke.Id);
            AnswerTrim(revoke, []);
        }
    }
}
