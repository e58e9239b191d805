using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <content>Sessions of engines, and the door that every request passes.</content>
internal sealed partial class DomainState
{
    /// <summary>Pools of earlier coordinators that engines were told are gone, at most. One more than that, and a late rank's pool may lie idle with its session.</summary>
    private const int MaxDeniedPools = 10_000;

    /// <summary>Opens a session or renews its lease.</summary>
    public void OpenSession(TimeSpan now, EngineProtocol.OpenSession command)
    {
        _now = now;
        if (command.Domain != _settings.Domain)
        {
            _port.ToEngine(command.Session, new EngineProtocol.SessionRefused(command.Session, new Refusal(
                RefusalReason.UnknownDomain, $"This is domain '{_settings.Domain}', not '{command.Domain}'. Name the domain that the hosts were started with.")));
            return;
        }

        if (command.Session.Value == Guid.Empty || string.IsNullOrWhiteSpace(command.EngineName) || command.EngineName.Length > 64)
        {
            _port.ToEngine(command.Session, new EngineProtocol.SessionRefused(command.Session, new Refusal(
                RefusalReason.UnknownSession, "A session needs an id other than zero and an engine name of 1 to 64 characters.")));
            return;
        }

        if (_endedSessions.Contains(command.Session))
        {
            _port.ToEngine(command.Session, new EngineProtocol.SessionRefused(command.Session, new Refusal(
                RefusalReason.UnknownSession, $"{command.Session} was not renewed within {_settings.SessionLease.TotalSeconds:0.#} s and is over. Open a new one.")));
            return;
        }

        var leaseEnds = now + _settings.SessionLease;
        if (_sessions.TryGetValue(command.Session, out var session))
        {
            session.LeaseEnds = leaseEnds;
            session.EngineName = command.EngineName;
        }
        else
        {
            _sessions.Add(command.Session, new SessionState(command.Session, command.EngineName, leaseEnds));
        }

        _port.ToEngine(command.Session, new EngineProtocol.SessionOpened(command.Session, Epoch, _settings.SessionLease));
    }

    /// <summary>Ends a session at its engine's wish.</summary>
    public void CloseSession(TimeSpan now, SessionId id)
    {
        _now = now;
        if (_sessions.TryGetValue(id, out var session))
        {
            EndSession(session, null);
        }

        _port.ToEngine(id, new EngineProtocol.SessionClosed(id));
        _port.ForgetEngine(id);
    }

    /// <summary>The process that had the session is gone: its lease is over now.</summary>
    public void SessionDied(TimeSpan now, SessionId id)
    {
        _now = now;
        if (_sessions.TryGetValue(id, out var session))
        {
            EndSession(session, $"The process of engine '{session.EngineName}' that had session {id} has ended.");
        }

        _port.ForgetEngine(id);
    }

    /// <summary>Any request: answered from memory when it was asked before, else carried out.</summary>
    public void Receive(TimeSpan now, EngineProtocol.IRequest request)
    {
        _now = now;
        if (MustAskAgain(request))
        {
            return;
        }

        if (!_sessions.TryGetValue(request.Session, out var session))
        {
            Meters.Refused(RefusalReason.UnknownSession);
            _port.ToEngine(request.Session, new EngineProtocol.RequestRefused(request.Session, request.Request, new Refusal(
                RefusalReason.UnknownSession, $"{request.Session} isn't open here: it was never opened, was closed, or its lease ended. Open a new session.")));
            return;
        }

        switch (session.Admit(request, _settings.MaxUnackedAnswersPerSession, out var answer))
        {
            case SessionState.Verdict.Answered:
                _port.ToEngine(request.Session, answer!);
                return;
            case SessionState.Verdict.Pending:
                return;
            case SessionState.Verdict.Reused:
                Meters.Refused(RefusalReason.RequestIdReused);
                _port.ToEngine(request.Session, new EngineProtocol.RequestRefused(request.Session, request.Request, new Refusal(
                    RefusalReason.RequestIdReused, $"{request.Request} of {request.Session} was used before, for something else, or its answer was acknowledged. Use a new id.")));
                return;
            case SessionState.Verdict.TooMany:
                Meters.Refused(RefusalReason.Busy);
                _port.ToEngine(request.Session, new EngineProtocol.RequestRefused(request.Session, request.Request, new Refusal(
                    RefusalReason.Busy, $"{_settings.MaxUnackedAnswersPerSession} answers of {request.Session} wait to be acknowledged. Raise AckedThrough.")));
                return;
        }

        switch (request)
        {
            case EngineProtocol.OpenPool open:
                OpenPool(open, session);
                break;
            case EngineProtocol.ClosePool close:
                ClosePool(close, session);
                break;
            case EngineProtocol.AllocatePages allocate:
                Allocate(allocate, session);
                break;
            case EngineProtocol.FreeExtents free:
                Free(free, session);
                break;
        }
    }

    /// <summary>Takes note of what an engine could give up.</summary>
    public void ReportWarm(TimeSpan now, EngineProtocol.ReportWarmExtents report)
    {
        _now = now;
        if (_pools.TryGetValue(report.Pool, out var pool) && pool.Owner == report.Session)
        {
            var isSound = !report.Extents.IsDefault && report.Extents.Length <= pool.Table.ExtentCount;
            pool.Warm = isSound ? [.. report.Extents.Select(w => w with { Idle = w.Idle < TimeSpan.Zero ? TimeSpan.Zero : w.Idle })] : [];
            pool.WarmReportedAt = now;
            MemoryWasFreed();
        }
        else if (!MayHearOfPools)
        {
            // It wasn't told, or the message was lost.
            _port.ToEngine(report.Session, new EngineProtocol.PoolWithdrawn(report.Session, report.Pool, new Refusal(
                RefusalReason.UnknownPool, $"{report.Pool} is no open pool of {report.Session}; it was closed or withdrawn.")));
        }
    }

    /// <summary>
    /// True for requests that can't be judged before the ranks have said what they hold: nobody is told that a pool is gone, or that an extent
    /// isn't mapped, because a new coordinator doesn't know it yet. No answer makes the engine ask again.
    /// </summary>
    private bool MustAskAgain(EngineProtocol.IRequest request)
    {
        var isKnownSession = _sessions.ContainsKey(request.Session);
        switch (request)
        {
            case EngineProtocol.OpenPool open:
                var isUnclear = open.Spec?.Name is { } name && _poolNames.TryGetValue(name, out var named)
                    && _pools[named] is var other && other.Owner == request.Session && !IsOwnId(named) && other.Phase is PoolPhase.Recovering or PoolPhase.Stopped;
                isUnclear = isUnclear || IsOrphanAtWork(open);
                return isUnclear || IsSettling;
            case EngineProtocol.AllocatePages allocate:
                return !_pools.ContainsKey(allocate.Pool) && MayTurnUp(allocate.Pool, isKnownSession);
            case EngineProtocol.FreeExtents free:
                return _pools.TryGetValue(free.Pool, out var freed) ? freed.Phase == PoolPhase.Recovering : MayTurnUp(free.Pool, isKnownSession);
            case EngineProtocol.ClosePool close:
                return _pools.TryGetValue(close.Pool, out var closed) ? closed.Phase == PoolPhase.Recovering : MayTurnUp(close.Pool, isKnownSession);
            default:
                return false;
        }
    }

    /// <summary>Also while a host takes over what its workers have kept, which may be any earlier pool, however long that takes.</summary>
    private bool MayHearOfPools => IsSettling || _ranks.Values.Any(r => r.Awaited is not null);

    private bool MayTurnUp(PoolId pool, bool isKnownSession) => MayHearOfPools && (!isKnownSession || !IsOwnId(pool)) && !_closedPools.Contains(pool);

    private bool TryFindOwnPool(EngineProtocol.IRequest request, PoolId id, SessionState session, out PoolState pool)
    {
        if (_pools.TryGetValue(id, out pool!) && pool.Owner == session.Id && pool.Phase != PoolPhase.Closing)
        {
            return true;
        }

        if (pool is null && !IsOwnId(id) && _deniedPools.Count < MaxDeniedPools)
        {
            _deniedPools.Add(id);
        }

        Refuse(request, RefusalReason.UnknownPool, $"{id} is no open pool of {session.Id}; it may have been closed or withdrawn.");
        return false;
    }

    private void EndSession(SessionState session, string? why)
    {
        foreach (var id in session.Pools.ToArray())
        {
            if (!_pools.TryGetValue(id, out var pool))
            {
                continue;
            }

            var because = why is null ? null : new Refusal(RefusalReason.UnknownSession, why);
            if (because is not null && CanBeOrphaned(pool))
            {
                Orphan(pool, because);
            }
            else
            {
                BeginClosing(pool, null, because);
            }
        }

        _sessions.Remove(session.Id);
        if (why is not null)
        {
            // Its engine may not have noticed: it must not go on as if its pools were its own.
            _endedSessions.Add(session.Id);
        }
    }
}
