using System.Collections.Immutable;
using Kvcached.Actors.Protocols;

namespace Kvcached.Actors.Coordination;

/// <content>The picture for management.</content>
internal sealed partial class DomainState
{
    public DomainProtocol.DomainDescription Describe() => new(
        _settings.Domain, Epoch, _settings.ExpectedHosts, IsRecovering,
        [.. _ranks.Values.OrderBy(r => r.Gpu).Select(DescribeGpu)],
        [.. _pools.Values.OrderBy(p => p.Id).Select(DescribePool)],
        Meters.Read());

    /// <summary>The first rule of bookkeeping that is broken, as a sentence; null when all holds. For tests and self-checks.</summary>
    public string? FindImbalance()
    {
        foreach (var view in _ranks.Values)
        {
            if (view.Ledger.FindImbalance() is { } problem)
            {
                return problem;
            }
        }

        foreach (var pool in _pools.Values)
        {
            if (pool.Phase is PoolPhase.Ready or PoolPhase.Reopening or PoolPhase.Stopped or PoolPhase.Stranded
                && (FindStrayPages(pool) ?? FindImbalance(pool)) is { } problem)
            {
                return problem;
            }
        }

        return null;
    }

    /// <summary>Every page id that is taken is in the table, leaving or in flight, in one of them only.</summary>
    private static string? FindStrayPages(PoolState pool)
    {
        var inFlight = InFlight(pool);
        var (taken, isKnown) = (0, true);
        foreach (var ids in pool.PageIds)
        {
            foreach (var extent in ids.Granted)
            {
                taken++;
                isKnown = isKnown && (pool.Table.Contains(extent) || pool.Leaving.Contains(extent) || inFlight.Contains(extent));
            }
        }

        return isKnown && taken == pool.Table.ExtentCount + pool.Leaving.Count + inFlight.Length
            ? null
            : $"{pool.Id} has taken {string.Join(", ", pool.PageIds.SelectMany(ids => ids.Granted))} but knows of {string.Join(", ", pool.Table.Enumerate().Concat(pool.Leaving.Extents).Concat(inFlight))}.";
    }

    /// <summary>Every GPU's account says what the pool's extents add up to there.</summary>
    private string? FindImbalance(PoolState pool)
    {
        var inFlight = InFlight(pool);
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            if (pool.AwaitedHosts.ContainsKey(rank))
            {
                continue;
            }

            var (used, quarantined) = (0L, 0L);
            foreach (var extent in pool.Table.Enumerate())
            {
                used += pool.Layouts[rank].BytesOf(extent);
            }

            foreach (var extent in pool.Leaving.Extents)
            {
                if (pool.Leaving.IsQuarantinedOn(extent, rank))
                {
                    quarantined += pool.Layouts[rank].BytesOf(extent);
                }
                else if (pool.Leaving.IsHeldBy(extent, rank))
                {
                    used += pool.Layouts[rank].BytesOf(extent);
                }
            }

            var reserved = pool.BytesOn(rank, inFlight);
            if (!_ranks.TryGetValue(pool.Gpus[rank], out var view) || !view.Ledger.TryFind(pool.Id, out var entry)
                || entry.UsedBytes != used || entry.QuarantinedBytes != quarantined || entry.ReservedBytes != reserved)
            {
                return $"{pool.Id} holds {used} bytes, {quarantined} quarantined and {reserved} in flight on {pool.Gpus[rank]}, whose account says otherwise.";
            }
        }

        return null;
    }

    private static ImmutableArray<Core.Paging.Extent> InFlight(PoolState pool) => pool.Flight?.Allocation is null ? [] : pool.Flight.Decision.Extents;

    private static DomainProtocol.GpuDescription DescribeGpu(RankView view) => new(
        view.Gpu, view.Incarnation, view.Address, view.DeviceName, view.Backend, view.IsAvailable,
        view.Ledger.CapacityBytes, view.Ledger.Entries.Sum(e => e.UsedBytes), view.Ledger.Entries.Sum(e => e.ReservedBytes),
        view.Ledger.Entries.Sum(e => e.QuarantinedBytes), view.Ledger.UnheldBytes)
    {
        IsDraining = view.IsDraining,
        Device = view.Device,
        IsDeviceShort = view.Ledger.IsDeviceShort,
    };

    private DomainProtocol.PoolDescription DescribePool(PoolState pool)
    {
        ImmutableArray<Core.Paging.Extent> mapped = [.. pool.Table.Enumerate()];
        var onGpus = DescribeOnGpus(pool);
        var policy = _policies.Find(pool.Spec.Name);
        ImmutableArray<Core.Paging.Extent> warm = [.. pool.Warm.Select(w => w.Extent).Where(e => pool.Holds(e))];
        return new DomainProtocol.PoolDescription(
            pool.Id, pool.Spec.Name,
            _sessions.TryGetValue(pool.Owner, out var session) ? session.EngineName : string.Empty,
            pool.OrphanedUntil is null || pool.Phase == PoolPhase.Stranded ? pool.Phase.ToString().ToLowerInvariant() : "orphaned", pool.Gpus,
            mapped.Sum(e => e.PageCount), pool.Spec.Geometry.VirtualPageCounts.Sum(count => (long)count), mapped.Length,
            [.. Enumerable.Range(0, pool.RankCount).Select(r => pool.BytesOn(r, mapped))],
            [.. Enumerable.Range(0, pool.RankCount).Select(r => pool.BytesOn(r, warm))],
            onGpus.IsEmpty ? pool.Spec.LimitBytes : onGpus.Min(g => g.LimitBytes), onGpus.IsEmpty ? pool.Spec.FloorBytes : onGpus.Min(g => g.FloorBytes),
            policy is { Weight: > 0 } ? policy.Weight : pool.Spec.Weight, pool.Seq, pool.Table.Digest.ToString())
        {
            Awaited = DescribeAwaited(pool),
            Revision = policy?.Revision ?? 0,
            OnGpus = onGpus,
        };
    }

    private ImmutableArray<DomainProtocol.PoolOnGpu> DescribeOnGpus(PoolState pool)
    {
        ImmutableArray<Core.Paging.Extent> warm = [.. pool.Warm.Select(w => w.Extent).Where(e => pool.Holds(e))];
        var described = ImmutableArray.CreateBuilder<DomainProtocol.PoolOnGpu>(pool.RankCount);
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            if (_ranks.TryGetValue(pool.Gpus[rank], out var view) && view.Ledger.TryFind(pool.Id, out var entry))
            {
                described.Add(new DomainProtocol.PoolOnGpu(
                    view.Gpu, entry.LimitBytes, entry.FloorBytes, _settings.SharingPolicy.ShareBytes(view.Ledger, entry), entry.UsedBytes,
                    pool.BytesOn(rank, warm), entry.ReservedBytes, entry.QuarantinedBytes));
            }
        }

        return described.ToImmutable();
    }

    /// <summary>What a pool waits for that grants nothing; empty for others.</summary>
    private string DescribeAwaited(PoolState pool) => pool.Phase switch
    {
        PoolPhase.Stranded => string.Join(". ", pool.AwaitedHosts.Keys.Select(rank => DescribeAwaited(pool, rank))),
        PoolPhase.Recovering when FindAwaited(pool) is { } gpu => WhyUnavailable(gpu),
        PoolPhase.Recovering => $"{string.Join(", ", pool.Gpus.Where((_, rank) => !pool.Reports.ContainsKey(rank)))} to say what it holds, for {Max(pool.PhaseDeadlineAt - _now, TimeSpan.Zero).TotalSeconds:0.#} s more",
        PoolPhase.Lost when pool.IsOverdue => "its engine to close it, or its workers to end; what is left of it is quarantined",
        PoolPhase.Lost => $"its engine to end its steps and close it, for {Max(pool.PhaseDeadlineAt - _now, TimeSpan.Zero).TotalSeconds:0.#} s more",
        _ => string.Empty,
    };
}
