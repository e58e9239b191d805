using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <content>
/// Pools whose pages engine workers map, when a host of theirs ends: the workers keep the memory and its descriptors, so that the host's next life can take
/// it over. Until then nothing is granted, and the table stays as it is here.
/// </content>
internal sealed partial class DomainState
{
    /// <summary>The host of one of the pool's ranks has ended. What its worker has mapped is still there.</summary>
    private void Strand(PoolState pool, int rank)
    {
        switch (pool.Phase)
        {
            case PoolPhase.Lost:
                // Nothing more can be lost, and its worker may still run.
                return;
            case PoolPhase.Recovering:
                pool.Reports.Remove(rank);
                pool.PhaseDeadlineAt = Max(pool.PhaseDeadlineAt, _now + _settings.HostReturnWindow);
                return;
        }

        pool.AwaitedHosts[rank] = new PoolState.AwaitedHost(_now, _now + _settings.HostReturnWindow);
        _port.Warn($"{pool.Id} ('{pool.Spec.Name}') grants nothing for now: {DescribeAwaited(pool, rank)}");
        if (pool.Phase == PoolPhase.Stranded)
        {
            return;
        }

        pool.Phase = PoolPhase.Stranded;
        var because = WhyStranded(pool);
        if (pool.Opener is { } opener)
        {
            // Not all ranks know its new owner: whoever it is asks again.
            pool.Opener = null;
            Refuse(opener, because);
            LoseOwner(pool);
        }

        EndFlight(pool, because);
        foreach (var waiting in TakeWaiting(pool))
        {
            RefuseStranded(pool, waiting.Request);
        }
    }

    /// <summary>An awaited host is back and says what the pool's worker has kept there. Together with the others' that is compared with the table.</summary>
    private void TakeBack(PoolState pool, int rank, RankView view, RankPoolReport report)
    {
        if (rank != report.Rank || pool.Spec != report.Spec || !IsUsable(report))
        {
            Withdraw(pool, $"{view.Gpu} has come back with another shape of it");
            return;
        }

        HashSet<Extent> held = [.. report.Entries.Select(e => e.Extent)];
        var missing = pool.Table.Enumerate().Count(e => !held.Contains(e));
        if (missing > 0)
        {
            Withdraw(pool, $"the host of {view.Gpu} has come back without {missing} of its {pool.Table.ExtentCount} extents");
            return;
        }

        pool.RaiseGenerationsTo(report.HighestGeneration);
        pool.Honour(report.Fence);
        SetWorker(pool, rank, report.Worker);

        // What isn't in the table was given up or never granted; it leaves as the table is installed, and is in the way until it has left.
        held.UnionWith(report.Quarantined.IsDefault ? [] : report.Quarantined);
        held.ExceptWith(pool.Table.Enumerate());
        foreach (var extent in pool.Leaving.Extents.Where(e => pool.Leaving.IsHeldBy(e, rank) && !held.Contains(e)).ToArray())
        {
            pool.Leaving.Release(extent, rank);
        }

        foreach (var extent in held)
        {
            pool.Leaving.AddQuarantined(extent, rank);
        }

        if (!TryRestorePageIds(pool) || !TryRestoreLedger(pool, rank))
        {
            return;
        }

        if (report.Owner != pool.Owner && pool.Owner != default)
        {
            // It knows who owned the pool when its worker attached; a later coordinator asks it for who does.
            _port.ToRank(view.Gpu, new RankProtocol.OpenRankPool(Epoch, pool.Id, rank, pool.Spec, pool.Owner));
        }

        pool.AwaitedHosts.Remove(rank);
        if (pool.AwaitedHosts.Count == 0)
        {
            InstallTable(pool);
        }
    }

    /// <summary>A host that has made itself known is back, however long it takes to find out what its workers have kept.</summary>
    private void ExpireStranded(PoolState pool)
    {
        if (pool.Phase == PoolPhase.Recovering && FindAwaited(pool) is not null)
        {
            // What it reports once it is done comes a while later.
            pool.PhaseDeadlineAt = Max(pool.PhaseDeadlineAt, _now + _settings.RecoveryDeadline);
        }

        if (pool.Phase != PoolPhase.Stranded)
        {
            return;
        }

        foreach (var (rank, awaited) in pool.AwaitedHosts)
        {
            if (_now >= awaited.Until && !_ranks.ContainsKey(pool.Gpus[rank]))
            {
                Withdraw(pool, $"the host of {pool.Gpus[rank]} ended and didn't come back within {_settings.HostReturnWindow.TotalSeconds:0.#} s");
                return;
            }
        }
    }

    /// <summary>Refuses a request for pages, unless an earlier coordinator granted it: what is mapped still is.</summary>
    private void RefuseStranded(PoolState pool, EngineProtocol.AllocatePages request)
    {
        if (!TryAnswerInherited(pool, request))
        {
            Refuse(request, WhyStranded(pool));
        }
    }

    private bool TryAnswerInherited(PoolState pool, EngineProtocol.AllocatePages request)
    {
        // A grant that an earlier coordinator made, and whose answer was lost, is still in the ranks' tables.
        var granted = pool.InheritedBy(request.Session, request.Request);
        if (granted.Length > 0)
        {
            Answer(new EngineProtocol.PagesAllocated(request.Session, request.Request, pool.Id, granted));
        }

        return granted.Length > 0;
    }

    /// <summary>The pool of that name that waits for a host, so that nobody can open it just now; null when there is none.</summary>
    private PoolState? FindStranded(PoolSpec? spec) =>
        spec?.Name is { } name && _poolNames.TryGetValue(name, out var id) && _pools[id] is { Phase: PoolPhase.Stranded } pool ? pool : null;

    private Refusal WhyStranded(PoolState pool) => new(RefusalReason.RankUnavailable,
        $"{string.Join(". ", pool.AwaitedHosts.Keys.Select(rank => DescribeAwaited(pool, rank)))}. {pool.Id} keeps all that is mapped, takes returns, and grants nothing meanwhile.");

    private string DescribeAwaited(PoolState pool, int rank)
    {
        var (gpu, awaited) = (pool.Gpus[rank], pool.AwaitedHosts[rank]);
        var ended = $"the host of {gpu} ended {(_now - awaited.Since).TotalSeconds:0.#} s ago";
        return !_ranks.TryGetValue(gpu, out var view)
            ? $"{ended}; its workers keep the memory, and it is awaited for {Max(awaited.Until - _now, TimeSpan.Zero).TotalSeconds:0.#} s more"
            : view.Awaited is { } whom ? $"{ended} and is back; it takes over what its workers have kept, and waits for {whom}"
            : $"{ended} and is back; it is asked what its workers have kept";
    }

    /// <summary>Why nothing can be had of that GPU now.</summary>
    private string WhyUnavailable(GpuId gpu) => _ranks.TryGetValue(gpu, out var view) && view.Awaited is { } whom
        ? $"The host of {gpu} was started again and takes over what its workers have kept; it waits for {whom}"
        : $"{gpu} can't be reached, or is still recovering";

    /// <summary>The first of the pool's GPUs whose host still takes over what workers have kept; null when there is none.</summary>
    private GpuId? FindAwaited(PoolState pool) =>
        pool.Gpus.Where(gpu => _ranks.TryGetValue(gpu, out var view) && view.Awaited is not null).Cast<GpuId?>().FirstOrDefault();

    private static TimeSpan Max(TimeSpan left, TimeSpan right) => left > right ? left : right;
}
