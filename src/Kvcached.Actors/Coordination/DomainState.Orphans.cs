using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;

namespace Kvcached.Actors.Coordination;

/// <content>
/// Pools that outlive their session: when a lease ends, they stay as they are for a while, so that the engine's next scheduler takes them over with all
/// that is mapped. Nobody is asked to give anything up meanwhile.
/// </content>
internal sealed partial class DomainState
{
    private bool CanBeOrphaned(PoolState pool) =>
        _settings.ReopenWindow > TimeSpan.Zero
        && pool.Phase is PoolPhase.Ready or PoolPhase.Reopening or PoolPhase.Stopped or PoolPhase.Recovering or PoolPhase.Stranded;

    /// <summary>True when an orphan is asked for that can't change hands at this moment: its engine asks again.</summary>
    private bool IsOrphanAtWork(EngineProtocol.OpenPool open) =>
        open.Spec?.Name is { } name && _poolNames.TryGetValue(name, out var id) && _pools[id] is { OrphanedUntil: not null } pool && pool.Spec == open.Spec
        && pool.Phase != PoolPhase.Stranded && (pool.Phase != PoolPhase.Ready || pool.Flight is not null);

    /// <summary>Its session is over. What is under way is finished; the session hears that the pool isn't its own any more.</summary>
    private void Orphan(PoolState pool, Refusal because)
    {
        foreach (var waiting in TakeWaiting(pool))
        {
            Refuse(waiting.Request, because);
        }

        _port.ToEngine(pool.Owner, new EngineProtocol.PoolWithdrawn(pool.Owner, pool.Id, because));
        if (pool.Phase == PoolPhase.Reopening)
        {
            pool.Opener = null;
            pool.Phase = PoolPhase.Ready;
        }

        LoseOwner(pool);
    }

    private void LoseOwner(PoolState pool)
    {
        if (_sessions.TryGetValue(pool.Owner, out var session))
        {
            session.Pools.Remove(pool.Id);
        }

        pool.Owner = default;
        pool.OrphanedUntil = _now + _settings.ReopenWindow;
    }

    /// <summary>Another session takes an orphan over, as soon as all ranks know its new owner: a later coordinator learns it from them.</summary>
    private void Reopen(EngineProtocol.OpenPool request, SessionState session, PoolState pool)
    {
        if (pool.Spec != request.Spec)
        {
            Refuse(request, RefusalReason.NameInUse,
                $"Pool '{pool.Spec.Name}' ({pool.Id}) has lost its engine and waits {(pool.OrphanedUntil!.Value - _now).TotalSeconds:0} s for the next one, which must open it in the same shape, with the same limits, as the same user. Do so, or choose another name.");
            return;
        }

        pool.OrphanedUntil = null;
        pool.Owner = session.Id;
        pool.IsKnownToOwner = IsOwnId(pool.Id);
        session.Pools.Add(pool.Id);
        pool.Opener = request;
        pool.Phase = PoolPhase.Reopening;
        pool.PhaseDeadlineAt = _now + _settings.OpenDeadline;
        pool.PhaseAwaiting = RankSet.All(pool.RankCount);
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            SendPhaseCommand(pool, rank);
        }
    }

    private void OwnerTold(PoolState pool, int rank, RankProtocol.RankPoolAnswer answer)
    {
        if (!answer.IsOpen)
        {
            Withdraw(pool, $"{answer.Gpu} doesn't hold it any more");
        }
        else if (answer.Owner == pool.Owner && pool.PhaseAwaiting.Remove(rank) && pool.PhaseAwaiting.Count == 0)
        {
            pool.Phase = PoolPhase.Ready;
            var opener = pool.Opener!;
            pool.Opener = null;
            Answer(new EngineProtocol.PoolOpened(opener.Session, opener.Request, pool.Id, [.. pool.Table.Enumerate()]));
            Pump(pool);
        }
    }

    private void GiveUpReopening(PoolState pool)
    {
        var missing = string.Join(", ", pool.PhaseAwaiting.Ranks().Select(r => pool.Gpus[r]));
        Refuse(pool.Opener!, RefusalReason.DeadlineExceeded, $"{missing} couldn't be told of the new owner of pool '{pool.Spec.Name}' within {_settings.OpenDeadline.TotalSeconds:0.#} s. Try again.");
        pool.Opener = null;
        pool.Phase = PoolPhase.Ready;
        LoseOwner(pool);
    }

    private void ExpireOrphan(PoolState pool)
    {
        if (pool.OrphanedUntil is { } until && _now >= until && pool.Phase != PoolPhase.Closing)
        {
            _port.Warn($"{pool.Id} ('{pool.Spec.Name}') is closed: no engine took it over within {_settings.ReopenWindow.TotalSeconds:0.#} s");
            BeginClosing(pool, null, null);
        }
    }
}
