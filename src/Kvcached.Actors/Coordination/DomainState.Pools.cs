using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <content>Opening pools on all their ranks, and how long each phase of a pool may take.</content>
internal sealed partial class DomainState
{
    /// <summary>A rank opened or closed a pool, or could not.</summary>
    public void RankPoolAnswered(TimeSpan now, RankProtocol.RankPoolAnswer answer)
    {
        _now = now;
        if (answer.Epoch != Epoch || !IsCurrent(answer.Gpu, answer.Incarnation))
        {
            return;
        }

        if (!_pools.TryGetValue(answer.Pool, out var pool))
        {
            if (answer.IsOpen)
            {
                // A late answer to a pool that was given up meanwhile.
                _port.ToRank(answer.Gpu, new RankProtocol.CloseRankPool(Epoch, answer.Pool));
            }

            return;
        }

        var rank = pool.RankOf(answer.Gpu);
        if (rank < 0)
        {
            return;
        }

        if (pool.Phase == PoolPhase.Reopening)
        {
            OwnerTold(pool, rank, answer);
        }
        else if (pool.Phase == PoolPhase.Opening)
        {
            if (!answer.IsOpen)
            {
                UndoOpening(pool, answer.Refusal ?? new Refusal(RefusalReason.RankUnavailable, $"{answer.Gpu} didn't open {pool.Id}."));
            }
            else if (pool.PhaseAwaiting.Remove(rank) && pool.PhaseAwaiting.Count == 0)
            {
                pool.Phase = PoolPhase.Ready;
                Note(DomainEventKinds.PoolOpened, $"by {NameOfEngine(pool.Owner)}, as {pool.Id} on {string.Join(", ", pool.Gpus)}", pool);
                if (pool.Opener is { } opener)
                {
                    pool.Opener = null;
                    Answer(new EngineProtocol.PoolOpened(opener.Session, opener.Request, pool.Id, []));
                }

                Pump(pool);
            }
        }
        else if (pool.Phase == PoolPhase.Lost && !answer.IsOpen)
        {
            LetGoOfLost(pool, rank);
        }
        else if (pool.Phase == PoolPhase.Closing && !answer.IsOpen && pool.PhaseAwaiting.Remove(rank))
        {
            LetGo(pool, rank);
            FinishClosing(pool);
            MemoryWasFreed();
        }
    }

    private void OpenPool(EngineProtocol.OpenPool request, SessionState session)
    {
        if (FindStranded(request.Spec) is { } stranded)
        {
            Refuse(request, WhyStranded(stranded));
            return;
        }

        if (FindSpecProblem(request.Spec) is { } problem)
        {
            Refuse(request, problem);
            return;
        }

        var spec = request.Spec;
        if (_poolNames.TryGetValue(spec.Name, out var existing))
        {
            var other = _pools[existing];
            if (other.Owner == session.Id && other.Spec == spec && other.Phase == PoolPhase.Ready)
            {
                Answer(new EngineProtocol.PoolOpened(session.Id, request.Request, other.Id, [.. other.Table.Enumerate()]));
                return;
            }

            if (other.OrphanedUntil is not null)
            {
                Reopen(request, session, other);
                return;
            }

            Refuse(request, RefusalReason.NameInUse, other.Phase == PoolPhase.Lost
                ? $"Pool '{spec.Name}' ({other.Id}, {NameOfEngine(other.Owner)}) lost its memory and isn't closed yet. Close it first, or choose another name."
                : $"Pool '{spec.Name}' is open in this domain ({other.Id}, {NameOfEngine(other.Owner)}, {other.Phase}). Choose another name, or close it first.");
            return;
        }

        var admitted = new List<RankView>();
        foreach (var gpu in spec.Geometry.Ranks.Select(r => r.Gpu).Order())
        {
            var view = _ranks[gpu];
            var terms = TermsOf(spec, view);
            if (!view.Ledger.TryAdmit(NextPoolId, terms.LimitBytes, terms.FloorBytes, terms.Weight, out var refusal))
            {
                foreach (var earlier in admitted)
                {
                    earlier.Ledger.Forget(NextPoolId);
                }

                Refuse(request, Describe(refusal, gpu));
                return;
            }

            admitted.Add(view);
        }

        var pool = new PoolState(NextPoolId, spec, session.Id, PoolPhase.Opening, _settings)
        {
            Opener = request,
            PhaseDeadlineAt = _now + _settings.OpenDeadline,
        };
        _lastPoolSerial++;
        pool.PhaseAwaiting = RankSet.All(pool.RankCount);
        _pools.Add(pool.Id, pool);
        _poolNames.Add(spec.Name, pool.Id);
        session.Pools.Add(pool.Id);
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            SendPhaseCommand(pool, rank);
        }
    }

    private PoolId NextPoolId => PoolId.Create(Epoch.Counter, _lastPoolSerial + 1);

    /// <summary>The first thing wrong with what an engine asks for; null when it can be opened.</summary>
    private Refusal? FindSpecProblem(PoolSpec? spec)
    {
        if (spec?.Geometry is null || !IsPoolName(spec.Name))
        {
            return new Refusal(RefusalReason.BadGeometry, "A pool needs a geometry and a name of 1 to 64 letters, digits, dots, dashes or underscores.");
        }

        if (spec.Target is not (PoolTarget.Host or PoolTarget.Worker))
        {
            return new Refusal(RefusalReason.NotSupported, $"Pool '{spec.Name}': there is no target {spec.Target}; use Host or Worker.");
        }

        if (spec.OwnerUserId is < -1 or > uint.MaxValue)
        {
            return new Refusal(RefusalReason.NotAllowed, $"Pool '{spec.Name}': {spec.OwnerUserId} is no user id; give that of the process that opens it, or -1 for any.");
        }

        if (spec.Weight is < 1 or > 1_000_000 || spec.LimitBytes < 0 || spec.FloorBytes < 0 || (spec.LimitBytes > 0 && spec.FloorBytes > spec.LimitBytes))
        {
            return new Refusal(RefusalReason.BadLimit,
                $"Pool '{spec.Name}': limit {spec.LimitBytes}, floor {spec.FloorBytes}, weight {spec.Weight}; limit and floor are at least 0, the floor at most the limit, the weight 1 to 1000000.");
        }

        if (spec.Geometry.Ranks.IsDefaultOrEmpty)
        {
            return new Refusal(RefusalReason.BadGeometry, $"Pool '{spec.Name}' has no ranks.");
        }

        var granularity = 1L;
        foreach (var rank in spec.Geometry.Ranks)
        {
            if (rank is null || !_ranks.TryGetValue(rank.Gpu, out var view))
            {
                return new Refusal(RefusalReason.UnknownGpu,
                    $"Pool '{spec.Name}' wants {rank?.Gpu}, which no host of domain '{_settings.Domain}' lends. Known: {string.Join(", ", _ranks.Keys.Order())}.");
            }

            if (!view.IsAvailable)
            {
                return new Refusal(RefusalReason.RankUnavailable, $"{WhyUnavailable(rank.Gpu)}. Try again.");
            }

            if (view.IsDraining)
            {
                return WhyDraining(rank.Gpu);
            }

            granularity = Math.Max(granularity, view.GranularityBytes);
        }

        return GeometryRules.FindProblem(spec.Geometry, granularity) is { } problem ? new Refusal(RefusalReason.BadGeometry, problem) : null;
    }

    private static bool IsPoolName(string? name) =>
        name is { Length: >= 1 and <= 64 } && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_');

    private string NameOfEngine(SessionId owner) => _sessions.TryGetValue(owner, out var session) ? $"engine '{session.EngineName}'" : "no engine";

    private void FailOpening(PoolState pool, Refusal refusal)
    {
        if (pool.Opener is { } opener)
        {
            pool.Opener = null;
            Refuse(opener, refusal);
        }

        BeginClosing(pool, null, null);
    }

    /// <summary>Its opener is told why when no rank has anything of it any more, so that it may ask for the name again at once; or a while later.</summary>
    private void UndoOpening(PoolState pool, Refusal refusal)
    {
        pool.OpenRefusal = refusal;
        BeginClosing(pool, pool.TakeOpener(), null);
        pool.PhaseDeadlineAt = _now + _settings.DecisionDeadline;
    }

    private void ExpirePhase(PoolState pool)
    {
        if (pool.Phase == PoolPhase.Opening && _now >= pool.PhaseDeadlineAt)
        {
            var missing = string.Join(", ", pool.PhaseAwaiting.Ranks().Select(r => pool.Gpus[r]));
            FailOpening(pool, new Refusal(RefusalReason.DeadlineExceeded, $"{missing} didn't open pool '{pool.Spec.Name}' within {_settings.OpenDeadline.TotalSeconds:0.#} s."));
        }
        else if (pool.Phase == PoolPhase.Reopening && _now >= pool.PhaseDeadlineAt)
        {
            GiveUpReopening(pool);
        }
        else if (pool.Phase == PoolPhase.Recovering && _now >= pool.PhaseDeadlineAt
            && !pool.Gpus.Any(gpu => _ranks.TryGetValue(gpu, out var view) && view.Awaited is not null))
        {
            Withdraw(pool, $"only {pool.Reports.Count} of its {pool.RankCount} ranks were found within {_settings.RecoveryDeadline.TotalSeconds:0.#} s");
        }
        else if (pool.Phase == PoolPhase.Closing && pool.Opener is { } closer && _now >= pool.PhaseDeadlineAt)
        {
            var missing = string.Join(", ", pool.PhaseAwaiting.Ranks().Select(r => pool.Gpus[r]));
            pool.Opener = null;
            Refuse(closer, pool.OpenRefusal ?? new Refusal(RefusalReason.RankUnavailable, $"{pool.Id} is closed, but {missing} hasn't released it yet and will be asked on."));
        }
    }
}
