using System.Collections.Immutable;
using Kvcached.Client.Lines;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Scheduling;
using Kvcached.Core.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Sessions;

/// <summary>
/// What a scheduler's session says and when: keeps the lease, numbers requests and sends them again until they are answered, answers revokes at
/// once, and tells the coordinator what is idle. Used by one thread; knows nothing of sockets, and of time only what it is given.
/// </summary>
internal sealed partial class SchedulerSession(KvSessionOptions options, TimeProvider time, LeaseFence lease)
{
    private readonly SortedDictionary<long, PendingRequest> _pending = [];
    private readonly Dictionary<PoolId, KvPool> _pools = [];
    private readonly HashSet<PoolId> _openedPools = [];
    /// <summary>Another pool waits for what is freed.</summary>
    private static readonly TimeSpan ShrinkPause = TimeSpan.FromMilliseconds(5);

    private readonly Dictionary<PoolId, SafeFileHandle> _predecessorTags = [];
    private readonly Queue<(PoolId Pool, GivenUpExtents Extents)> _returns = new();
    private IEngineLine? _line;
    private long _lastRequest;
    private long _renewedAt;
    private long _reportedAt;
    private volatile Refusal? _ended;

    public SessionId Id { get; } = SessionId.New();

    /// <summary>Why the session ended; null while it lives. May be asked by any thread.</summary>
    public Refusal? Ended => _ended;

    /// <summary>True once the coordinator has it.</summary>
    public bool IsOpened { get; private set; }

    /// <summary>The last refusal to open it that may pass.</summary>
    public Refusal? LastObstacle { get; private set; }

    public bool IsConnected => _line is not null;

    public bool IsClosing { get; private set; }

    /// <summary>A host is connected: it hears of the session, of the tags to keep, and of everything that has no answer yet.</summary>
    public void Connected(IEngineLine line)
    {
        _line = line;
        if (IsClosing)
        {
            Tell(new EngineProtocol.CloseSession(Id));
            return;
        }

        Renew();
        foreach (var pool in _pools.Values)
        {
            SendJournal(pool);
        }

        SendPending();
    }

    /// <summary>No host could be reached just now. What can't pass ends a session that isn't open yet.</summary>
    public void Unreachable(Refusal refusal)
    {
        LastObstacle = refusal;
        if (!IsOpened && !IsPassing(refusal.Reason))
        {
            End(refusal);
        }
    }

    /// <summary>The host is gone. Requests wait for the next one.</summary>
    public void Disconnected() => _line = null;

    /// <summary>Takes a message in. The descriptors are taken over.</summary>
    public void Received(object message, ImmutableArray<SafeFileHandle> descriptors)
    {
        var kept = 0;
        switch (message)
        {
            case EngineProtocol.IMessage { Session: var session } when session != Id:
                break;
            case EngineProtocol.IReply reply:
                Answered(reply);
                break;
            case EngineProtocol.RevokeExtents revoke:
                GiveUp(revoke);
                break;
            case EngineProtocol.ShrinkRequested shrink:
                Shrink(shrink);
                break;
            case EngineProtocol.CheckExtents check:
                Check(check);
                break;
            case EngineProtocol.SessionOpened opened:
                Opened(opened.Lease);
                break;
            case EngineProtocol.SessionRefused refused:
                Refused(refused.Refusal);
                break;
            case EngineProtocol.PoolWithdrawn withdrawn:
                Withdraw(withdrawn.Pool, withdrawn.Refusal);
                break;
            case EngineProtocol.SessionClosed:
                End(new Refusal(RefusalReason.UnknownSession, "The session was closed by its engine."));
                break;
            case SocketProtocol.PoolTags tags when tags.Session == Id && descriptors.Length == 1:
                Discard(tags.Pool);
                _predecessorTags[tags.Pool] = descriptors[0];
                kept = 1;
                break;
            case SocketProtocol.Rejected rejected:
                LastObstacle = rejected.Refusal;
                break;
        }

        SocketLine.Discard(kept == 0 ? descriptors : []);
    }

    /// <summary>Sends a request under the next id.</summary>
    public void Submit(PendingRequest request)
    {
        if (_ended is { } ended)
        {
            request.Complete(new EngineProtocol.RequestRefused(Id, default, ended));
            return;
        }

        _pending.Add(++_lastRequest, request);
        SendNow(_lastRequest, request);
    }

    /// <summary>From now on the pool hears of grants, revokes and its end, and its tags are kept.</summary>
    public void Attach(KvPool pool)
    {
        _pools[pool.Id] = pool;
        SendJournal(pool);
    }

    public void Forget(PoolId pool) => _pools.Remove(pool);

    /// <summary>Asks for the session's end; <see cref="Ended"/> says when it has come.</summary>
    public void Close()
    {
        IsClosing = true;
        if (_line is null || !IsOpened)
        {
            End(new Refusal(RefusalReason.UnknownSession, "The session was closed by its engine, with no host connected: its lease runs out."));
            return;
        }

        Tell(new EngineProtocol.CloseSession(Id));
    }

    /// <summary>It is over: all pools are withdrawn, all requests refused.</summary>
    public void End(Refusal why)
    {
        _ended ??= why;
        lease.End();
        foreach (var pool in _pools.Values.ToArray())
        {
            pool.Withdraw(_ended);
        }

        foreach (var pending in _pending.Values.ToArray())
        {
            pending.Complete(new EngineProtocol.RequestRefused(Id, default, _ended));
        }

        foreach (var pool in _predecessorTags.Keys.ToArray())
        {
            Discard(pool);
        }

        _pools.Clear();
        _pending.Clear();
    }

    /// <summary>Whatever is due: the lease, requests without an answer, reports, and the pools' own upkeep. Says when to be called again.</summary>
    public TimeSpan Upkeep()
    {
        if (_ended is not null || IsClosing)
        {
            return options.ReconnectInterval;
        }

        if (IsOpened && !lease.IsHeld)
        {
            End(new Refusal(
                RefusalReason.UnknownSession,
                $"The session of engine '{options.EngineName}' could not be renewed within its lease of {lease.Lease.TotalSeconds:0.#} s; its pools are gone. Open a new session."));
            return options.ReconnectInterval;
        }

        if (_line is not null)
        {
            // Until the session is open, its opening may have been lost with a coordinator that was just moving.
            if (time.GetElapsedTime(_renewedAt) > (IsOpened ? lease.Lease / 3 : TimeSpan.FromMilliseconds(500)))
            {
                Renew();
            }

            Resend();
            Report();
        }

        var isBusy = false;
        foreach (var pool in _pools.Values.ToArray())
        {
            isBusy |= pool.Upkeep();
        }

        if (_line is not null && GoOnShrinking())
        {
            return ShrinkPause;
        }

        return isBusy ? TimeSpan.FromMilliseconds(25) : TimeSpan.FromMilliseconds(100);
    }

    private void Opened(TimeSpan duration)
    {
        lease.Confirmed(duration);
        IsOpened = true;
        LastObstacle = null;
        if (lease.IsShort)
        {
            Renew();
        }
    }

    private void Refused(Refusal refusal)
    {
        if (!IsOpened && IsPassing(refusal.Reason))
        {
            LastObstacle = refusal;
            return;
        }

        if (IsOpened && IsPassing(refusal.Reason))
        {
            // The lease decides, not a coordinator that is just taking over.
            return;
        }

        End(refusal);
    }

    private static bool IsPassing(RefusalReason reason) =>
        reason is RefusalReason.Recovering or RefusalReason.RankUnavailable or RefusalReason.HostUnreachable or RefusalReason.Busy;

    private void Renew()
    {
        _renewedAt = time.GetTimestamp();
        lease.Sent();
        Tell(new EngineProtocol.OpenSession(Id, options.EngineName, options.Domain));
    }

    private void Resend()
    {
        for (var waiting = _returns.Count; waiting > 0; waiting--)
        {
            var (pool, extents) = _returns.Dequeue();
            GiveBack(pool, extents);
        }

        foreach (var (id, pending) in _pending.ToArray())
        {
            if (time.GetElapsedTime(pending.SentAt) > Resending.After(pending.TimesSent, options.ResendAfter))
            {
                SendNow(id, pending);
            }
        }
    }

    private void Report()
    {
        if (time.GetElapsedTime(_reportedAt) <= options.WarmReportInterval)
        {
            return;
        }

        _reportedAt = time.GetTimestamp();
        foreach (var pool in _pools.Values)
        {
            if (pool.TryReadIdle(out var idle))
            {
                Tell(new EngineProtocol.ReportWarmExtents(Id, pool.Id, idle));
            }
        }
    }

    private void SendPending()
    {
        foreach (var (id, pending) in _pending.ToArray())
        {
            SendNow(id, pending);
        }
    }

    private void SendNow(long id, PendingRequest pending)
    {
        pending.SentAt = time.GetTimestamp();
        pending.TimesSent++;
        var ackedThrough = _pending.Keys.First() - 1;
        try
        {
            Tell(pending.Make(Id, new RequestId(id), new RequestId(ackedThrough)));
        }
        catch (Exception problem) when (problem is ArgumentException or InvalidOperationException)
        {
            // What can't be written will never be; it must not keep the others from being sent.
            _pending.Remove(id);
            pending.Complete(new EngineProtocol.RequestRefused(
                Id, new RequestId(id), new Refusal(RefusalReason.InvalidMessage, $"The request can't be sent: {problem.Message}")));
        }
    }

    private void SendJournal(KvPool pool)
    {
        if (pool.Journal is { } journal)
        {
            Tell(new SocketProtocol.KeepTags(Id, pool.Id, journal.ByteCount), journal.Descriptor);
        }
    }

    private void Tell(object message, params ImmutableArray<SafeFileHandle> descriptors)
    {
        // What doesn't get through is sent again, or asked for again; that the line is lost is told apart.
        _ = _line?.Send(message, descriptors);
    }
}
