using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <content>
/// Pools that engine workers map, and of which a rank's memory is gone. Steps may be running over what is left: the engine is told, lets them end, and says so
/// by closing the pool. Nothing is unmapped under it before.
/// </content>
internal sealed partial class DomainState
{
    /// <summary>Announces the loss to the pool's owner, and stops all grants.</summary>
    private void Lose(PoolState pool, string why)
    {
        if (pool.Phase is PoolPhase.Lost or PoolPhase.Closing)
        {
            return;
        }

        _port.Warn($"{pool.Id} ('{pool.Spec.Name}') is lost, and closed once its engine is quiet: {why}");
        var loss = pool.Loss = new Refusal(RefusalReason.PoolLost,
            $"Pool '{pool.Spec.Name}' lost its memory: {why}. Its blocks are gone. End the steps that use it and close it; then open it anew.");
        pool.Phase = PoolPhase.Lost;
        pool.PhaseDeadlineAt = _now + _settings.QuiesceWindow;
        pool.PhaseAwaiting = RankSet.All(pool.RankCount);
        pool.AwaitedHosts.Clear();

        // It may have closed the pool under an earlier coordinator: then it closes it again when asked.
        pool.IsKnownToOwner = pool.IsKnownToOwner && IsOwnId(pool.Id);
        if (pool.Opener is { } opener)
        {
            pool.Opener = null;
            Refuse(opener, loss);
        }

        EndFlight(pool, loss);
        foreach (var waiting in TakeWaiting(pool))
        {
            Refuse(waiting.Request, loss);
        }

        foreach (var free in pool.Frees)
        {
            AnswerFreed(pool, free);
        }

        pool.Frees.Clear();
        foreach (var (rank, report) in pool.Reports)
        {
            HoldLost(pool, rank, report);
        }

        pool.Reports.Clear();
        Announce(pool);
    }

    /// <summary>False when nothing of the pool was granted that isn't given back: no step can use it.</summary>
    private static bool MayBeInUse(PoolState pool) => pool.Phase == PoolPhase.Recovering
        ? pool.Reports.Count > 0 && pool.Reports.Values.All(report => report.Entries.Length > 0)
        : pool.Table.ExtentCount > 0;

    /// <summary>What a rank reports of a lost pool is on its account until the pool is closed there.</summary>
    private void HoldLost(PoolState pool, int rank, RankPoolReport report)
    {
        if (!_ranks.TryGetValue(pool.Gpus[rank], out var view) || report.Entries.IsDefault)
        {
            return;
        }

        SetWorker(pool, rank, report.Worker);
        Extent[] held = [.. report.Entries.Select(e => e.Extent), .. report.Quarantined.IsDefault ? [] : report.Quarantined];
        view.Ledger.Forget(pool.Id);
        var terms = TermsOf(pool.Spec, view);
        if (view.Ledger.TryAdmit(pool.Id, terms.LimitBytes, terms.FloorBytes, terms.Weight, out _))
        {
            view.Ledger.TryRestore(pool.Id, 0, pool.BytesOn(rank, [.. held.Distinct()]), out _);
        }

        pool.Ranks = null;
    }

    /// <summary>Tells a lost pool's owner again, and gives up waiting for it after a while.</summary>
    private void FollowLost(PoolState pool)
    {
        if (pool.Phase != PoolPhase.Lost)
        {
            return;
        }

        if (!pool.IsOverdue && _now >= pool.PhaseDeadlineAt)
        {
            GiveUpWaitingForQuiet(pool);
            if (pool.PhaseAwaiting.Count == 0)
            {
                FinishClosing(pool);
                return;
            }
        }

        if (_now - pool.AnnouncedAt < _settings.ResendInterval)
        {
            return;
        }

        Announce(pool);
        foreach (var rank in pool.IsOverdue ? pool.PhaseAwaiting.Ranks().ToArray() : [])
        {
            // Its worker has ended or detached. Should it only be out of reach, its rank keeps what it may have mapped.
            if (pool.Workers[rank].Standing != RankWorker.Attached)
            {
                _port.ToRank(pool.Gpus[rank], new RankProtocol.CloseRankPool(Epoch, pool.Id));
            }
        }
    }

    private void Announce(PoolState pool)
    {
        pool.AnnouncedAt = _now;
        _port.ToEngine(pool.Owner, new EngineProtocol.PoolWithdrawn(pool.Owner, pool.Id, pool.Loss!));
    }

    /// <summary>Its engine hasn't said that it is quiet: each rank's part stays mapped, as quarantined, until its worker ends or detaches.</summary>
    private void GiveUpWaitingForQuiet(PoolState pool)
    {
        pool.IsOverdue = true;
        _port.Warn($"{pool.Id} ('{pool.Spec.Name}') is lost, and its engine didn't close it within {_settings.QuiesceWindow.TotalSeconds:0.#} s: what is left of it is quarantined until it does, or until its workers end");
        foreach (var gpu in pool.Gpus)
        {
            if (_ranks.TryGetValue(gpu, out var view) && view.Ledger.TryFind(pool.Id, out var entry) && entry.UsedBytes > 0)
            {
                view.Ledger.Quarantine(pool.Id, entry.UsedBytes);
            }
        }
    }

    /// <summary>A rank of a lost pool holds nothing of it any more.</summary>
    private void LetGoOfLost(PoolState pool, int rank)
    {
        if (pool.PhaseAwaiting.Remove(rank))
        {
            LetGo(pool, rank);
            pool.Ranks = null;
            if (pool.IsOverdue)
            {
                FinishClosing(pool);
            }
        }
    }
}
