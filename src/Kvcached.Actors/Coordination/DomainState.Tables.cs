using System.Diagnostics.CodeAnalysis;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Coordination;

/// <content>
/// Whole tables: a pool whose ranks don't agree is stopped and gets its table installed anew; a new coordinator rebuilds the tables from
/// what the ranks hold.
/// </content>
internal sealed partial class DomainState
{
    /// <summary>No more grants until every rank has the coordinator's table.</summary>
    private void Stop(PoolState pool, string why)
    {
        if (pool.Phase is not (PoolPhase.Ready or PoolPhase.Stopped))
        {
            return;
        }

        _port.Warn($"{pool.Id} ('{pool.Spec.Name}') is stopped, its table is installed anew: {why}");
        EndFlight(pool, new Refusal(RefusalReason.PoolStopped, $"The ranks of {pool.Id} disagreed ({why}); its table is being installed anew. Try again."));
        InstallTable(pool);
    }

    /// <summary>The decision in flight is over, whichever ranks have carried it out: a map is refused and leaves again, a return stays returned.</summary>
    private void EndFlight(PoolState pool, Refusal because)
    {
        if (pool.Flight is not { } flight)
        {
            return;
        }

        pool.Flight = null;
        flight.Span?.Fail(because.Reason, because.Detail);
        if (flight.Allocation is { } allocation)
        {
            Refuse(allocation.Request, because);
            CommitReservation(pool, flight.Decision.Extents);
            foreach (var extent in flight.Decision.Extents)
            {
                pool.Leaving.Add(extent);
            }
        }

        AnswerFreed(pool, flight.Free);
    }

    private void InstallTable(PoolState pool)
    {
        pool.Phase = PoolPhase.Stopped;
        pool.Seq++;
        pool.Log.Clear();
        pool.PhaseAwaiting = RankSet.All(pool.RankCount);
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            SendPhaseCommand(pool, rank);
        }
    }

    private void TableInstalled(PoolState pool, int rank, DecisionAnswer answer)
    {
        if (answer.Seq != pool.Seq || !pool.PhaseAwaiting.Contains(rank))
        {
            return;
        }

        if (answer.Outcome != DecisionOutcome.Applied)
        {
            Withdraw(pool, $"{answer.Gpu} can't take the pool's table ({answer.Refusal})");
            return;
        }

        if (answer.Digest != pool.Table.Digest)
        {
            Meters.DigestMismatches++;
            Withdraw(pool, $"{answer.Gpu} shows digest {answer.Digest} for a table of digest {pool.Table.Digest}");
            return;
        }

        pool.Progress[rank].AnsweredThrough = answer.Seq;
        SettleLeaving(pool, rank, [.. pool.Leaving.Extents], answer.Quarantined);
        if (pool.PhaseAwaiting.Remove(rank) && pool.PhaseAwaiting.Count == 0)
        {
            pool.Phase = PoolPhase.Ready;
            MemoryWasFreed();
        }
    }

    /// <summary>One rank's account of one pool.</summary>
    private void TakeReport(RankView view, RankPoolReport report)
    {
        if (!_pools.TryGetValue(report.Pool, out var pool))
        {
            if (IsOwnId(report.Pool) || _closedPools.Contains(report.Pool) || !IsUsable(report))
            {
                // Closed here while the rank couldn't be reached, or nothing that can be made sense of.
                _port.ToRank(view.Gpu, new RankProtocol.CloseRankPool(Epoch, report.Pool));
                return;
            }

            pool = new PoolState(report.Pool, report.Spec, report.Owner, PoolPhase.Recovering, _settings) { PhaseDeadlineAt = _now + _settings.RecoveryDeadline };
            _pools.Add(pool.Id, pool);
            _poolNames.TryAdd(report.Spec.Name, pool.Id);
            if (_deniedPools.Contains(report.Pool))
            {
                // Its engine was told that it is gone, and has dropped it.
                LoseOwner(pool);
            }
            else
            {
                AdoptSession(report);
            }
        }

        var rank = pool.RankOf(view.Gpu);
        TakeReport(view, pool, rank, report);
        if (pool.Phase == PoolPhase.Lost && rank >= 0)
        {
            HoldLost(pool, rank, report);
        }
    }

    private void TakeReport(RankView view, PoolState pool, int rank, RankPoolReport report)
    {
        if (pool.Phase == PoolPhase.Closing)
        {
            // It was not here when the others were told.
            if (rank < 0 || pool.PhaseAwaiting.Add(rank))
            {
                _port.ToRank(view.Gpu, new RankProtocol.CloseRankPool(Epoch, report.Pool, pool.CloseFence));
            }
        }
        else if (pool.Phase == PoolPhase.Recovering)
        {
            if (rank < 0 || rank != report.Rank || !IsUsable(report) || pool.Spec != report.Spec)
            {
                Withdraw(pool, $"{view.Gpu} holds another shape of it");
                return;
            }

            pool.Reports[rank] = report;
            if (report.Owner != pool.Owner && pool.OrphanedUntil is null)
            {
                // It was being taken over when its coordinator ended: whoever did that asks again.
                LoseOwner(pool);
            }

            if (pool.Reports.Count == pool.RankCount)
            {
                Reconcile(pool);
            }
            else if (pool.Gpus.Where((gpu, r) => !pool.Reports.ContainsKey(r) && _ranks.TryGetValue(gpu, out var other) && other.HasReported).ToArray() is [var without, ..])
            {
                // That one has reported already, and without it: the pool was being opened when its coordinator ended.
                Withdraw(pool, $"{without} doesn't hold it");
            }
        }
        else if (pool.AwaitedHosts.ContainsKey(rank))
        {
            TakeBack(pool, rank, view, report);
        }
        else if (rank >= 0 && pool.Phase == PoolPhase.Ready && (report.Epoch != Epoch || report.LastSeq < pool.Progress[rank].AnsweredThrough))
        {
            Stop(pool, $"{view.Gpu} came back with an older table");
        }
    }

    /// <summary>
    /// All ranks have said what they hold. What all of them hold was granted, or about to be, or refused or returned and not undone yet: only its
    /// engine can tell, and is asked. What only some hold was never granted, and is undone by installing the table without it.
    /// </summary>
    private void Reconcile(PoolState pool)
    {
        var common = pool.Reports[0].Entries.DistinctBy(e => e.Extent).ToDictionary(e => e.Extent);
        var seen = new HashSet<Extent>(common.Keys);
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            var held = pool.Reports[rank].Entries.Select(e => e.Extent).ToHashSet();
            seen.UnionWith(held);
            pool.RaiseGenerationsTo(pool.Reports[rank].HighestGeneration);
            pool.Honour(pool.Reports[rank].Fence);
            SetWorker(pool, rank, pool.Reports[rank].Worker);
            foreach (var missing in common.Keys.Where(e => !held.Contains(e)).ToArray())
            {
                common.Remove(missing);
            }
        }

        // A rank that has taken its extents over from its worker doesn't know whose requests they answered; another may.
        var answered = pool.Reports.Values.SelectMany(report => report.Entries).Where(entry => entry.Request != default)
            .DistinctBy(entry => entry.Extent).ToDictionary(entry => entry.Extent);
        foreach (var entry in common.Values)
        {
            pool.Restore(answered.GetValueOrDefault(entry.Extent, entry));
        }

        pool.IsKnownToOwner = false;
        pool.Unconfirmed.Add([.. common.Keys]);

        // Everything that some rank may still have mapped keeps its page ids taken until that rank says that it has let go.
        var partial = seen.Where(e => !common.ContainsKey(e)).ToArray();
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            foreach (var extent in pool.Reports[rank].Quarantined.IsDefault ? [] : pool.Reports[rank].Quarantined)
            {
                pool.Leaving.AddQuarantined(extent, rank);
            }

            foreach (var extent in partial.Where(e => pool.Reports[rank].Entries.Any(entry => entry.Extent == e)))
            {
                pool.Leaving.AddQuarantined(extent, rank);
            }
        }

        if (!TryRestorePageIds(pool) || !TryRestoreLedgers(pool))
        {
            return;
        }

        pool.Reports.Clear();
        InstallTable(pool);
    }

    private bool TryRestorePageIds(PoolState pool)
    {
        for (var group = 0; group < pool.PageIds.Length; group++)
        {
            Extent[] taken = [.. pool.Table.Enumerate().Concat(pool.Leaving.Extents).Where(e => e.Group == group)];
            if (pool.PageIds[group].Restore(taken, []) is { IsNone: false } fault)
            {
                Withdraw(pool, $"its ranks hold page ids that contradict each other ({fault.Fault})");
                return false;
            }
        }

        return true;
    }

    private bool TryRestoreLedgers(PoolState pool) => Enumerable.Range(0, pool.RankCount).All(rank => TryRestoreLedger(pool, rank));

    /// <summary>Opens the pool's account on one rank, where all that isn't in the table counts as quarantined.</summary>
    private bool TryRestoreLedger(PoolState pool, int rank)
    {
        pool.Ranks = null;
        var view = _ranks[pool.Gpus[rank]];
        var used = pool.BytesOn(rank, [.. pool.Table.Enumerate()]);
        var quarantined = pool.BytesOn(rank, [.. pool.Leaving.Extents.Where(e => pool.Leaving.IsHeldBy(e, rank))]);
        if (!TryReadmit(pool, view, out var refusal)
            || !view.Ledger.TryRestore(pool.Id, used, quarantined, out refusal))
        {
            Withdraw(pool, $"{view.Gpu} can't account for it: {refusal}");
            return false;
        }

        return true;
    }

    /// <summary>A floor that no longer fits, on a host that lends less than before, is no reason to lose what is mapped.</summary>
    private bool TryReadmit(PoolState pool, RankView view, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        var terms = TermsOf(pool.Spec, view);
        pool.IsAboveLimit = true;
        if (view.Ledger.TryAdmit(pool.Id, terms.LimitBytes, terms.FloorBytes, terms.Weight, out refusal))
        {
            return true;
        }

        _port.Warn($"The floor of pool '{pool.Spec.Name}' isn't kept for it any more: {refusal}");
        return view.Ledger.TryAdmit(pool.Id, Math.Max(0, terms.LimitBytes), 0, terms.Weight, out refusal);
    }

    private void AdoptSession(RankPoolReport report)
    {
        if (!_sessions.TryGetValue(report.Owner, out var session))
        {
            session = new SessionState(report.Owner, "unknown", _now + _settings.SessionLease);
            _sessions.Add(report.Owner, session);
        }

        session.Pools.Add(report.Pool);
    }

    private bool IsOwnId(Core.Ids.PoolId pool) => pool.Value >> 24 == Epoch.Counter;

    private static bool IsUsable(RankPoolReport report) =>
        report.Spec?.Geometry is not null && !report.Entries.IsDefault && report.Rank >= 0
        && report.Rank < report.Spec.Geometry.Ranks.Length
        && Core.Geometry.GeometryRules.FindProblem(report.Spec.Geometry, 1) is null;
}
