using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Engines;

/// <summary>
/// An engine's session: finds a host that answers, keeps the lease, numbers requests and sends them again until they are answered, answers
/// revokes at once, and tells the coordinator what is warm.
/// </summary>
internal sealed partial class EngineSession : UntypedActor, IWithTimers
{
    private const double LeaseShareToUse = 0.9;

    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(100);

    private readonly EngineClientOptions _options;
    private readonly SessionId _id = SessionId.New();
    private readonly TaskCompletionSource<Refusal?> _opened;
    private readonly TimeProvider _time;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly SortedDictionary<long, Pending> _pending = [];
    private readonly Dictionary<PoolId, EnginePool> _pools = [];
    private readonly HashSet<PoolId> _openedPools = [];
    private readonly HashSet<PoolId> _attaching = [];
    private readonly Queue<(PoolId Pool, ImmutableArray<Extent> Extents)> _returns = new();
    private IActorRef _gateway = ActorRefs.Nobody;
    private TaskCompletionSource? _closing;
    private Refusal? _ended;
    private long _lastRequest;
    private int _nextHost;
    private long _renewedAt;
    private long _confirmedAt;
    private long? _unconfirmedSince;
    private long _reportedAt;
    private TimeSpan _lease = TimeSpan.FromSeconds(3);

    public EngineSession(EngineClientOptions options, TaskCompletionSource<Refusal?> opened, TimeProvider time)
    {
        _options = options;
        _opened = opened;
        _time = time;
    }

    /// <summary>Sends a request under the next id.</summary>
    public sealed record Submit(EngineSessionHandle.MakeRequest Make, TaskCompletionSource<EngineProtocol.IReply> Answer) : INoSerializationVerificationNeeded;

    /// <summary>From now on the pool hears of grants, revokes and its end.</summary>
    public sealed record AttachPool(EnginePool Pool) : INoSerializationVerificationNeeded;

    public sealed record Close(TaskCompletionSource Closed) : INoSerializationVerificationNeeded;

    private sealed class Tick : INotInfluenceReceiveTimeout, INoSerializationVerificationNeeded
    {
        public static Tick Instance { get; } = new();
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(EngineClientOptions options, TaskCompletionSource<Refusal?> opened, TimeProvider time) =>
        Akka.Actor.Props.Create(() => new EngineSession(options, opened, time));

    protected override void PreStart()
    {
        Timers.StartPeriodicTimer(nameof(Tick), Tick.Instance, TickInterval);
        FindGateway();
    }

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Submit submit:
                Send(submit);
                break;
            case EngineProtocol.IReply reply:
                Answered(reply);
                break;
            case EngineProtocol.ShrinkRequested shrink:
                Shrink(shrink);
                break;
            case EngineProtocol.RevokeExtents revoke:
                GiveUp(revoke);
                break;
            case EngineProtocol.CheckExtents check:
                Check(check);
                break;
            case Tick:
                KeepUp();
                break;
            case AttachPool attach:
                _pools[attach.Pool.Id] = attach.Pool;
                _attaching.Remove(attach.Pool.Id);
                break;
            case EngineProtocol.SessionOpened opened:
                _lease = opened.Lease;
                _confirmedAt = _unconfirmedSince ?? _confirmedAt;
                _unconfirmedSince = null;
                _opened.TrySetResult(null);
                break;
            case EngineProtocol.SessionRefused refused:
                if (!_opened.TrySetResult(refused.Refusal))
                {
                    End(refused.Refusal);
                }

                break;
            case EngineProtocol.PoolWithdrawn withdrawn:
                Withdraw(withdrawn.Pool, withdrawn.Refusal);
                break;
            case DomainProtocol.DescribeDomain describe:
                _gateway.Forward(describe);
                break;
            case ActorIdentity identity when identity.Subject is not null && _gateway.IsNobody():
                _gateway = identity.Subject;
                Context.Watch(_gateway);
                Renew();
                break;
            case Terminated terminated when terminated.ActorRef.Equals(_gateway):
                _gateway = ActorRefs.Nobody;
                FindGateway();
                break;
            case Close close:
                _closing = close.Closed;
                _gateway.Tell(new EngineProtocol.CloseSession(_id), Self);
                break;
            case EngineProtocol.SessionClosed:
                End(new Refusal(RefusalReason.UnknownSession, "The session was closed by its engine."));
                _closing?.TrySetResult();
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    private void FindGateway()
    {
        var host = _options.Hosts[_nextHost++ % _options.Hosts.Length];
        Context.ActorSelection($"akka.tcp://{Hosting.KvcachedNames.ActorSystem}@{host}/user/{Hosting.KvcachedNames.EngineGateway}")
            .Tell(new Identify(host), Self);
        _renewedAt = _time.GetTimestamp();
    }

    private void Renew()
    {
        _renewedAt = _time.GetTimestamp();

        // The coordinator counts from a renewal that came; which of those since the last answer that was, nobody knows: the first, to be sure.
        _unconfirmedSince ??= _renewedAt;
        _gateway.Tell(new EngineProtocol.OpenSession(_id, _options.EngineName, _options.Domain), Self);
    }

    private void KeepUp()
    {
        if (_ended is not null || _closing is not null)
        {
            return;
        }

        // Sooner than the coordinator, so that no block is handed out of memory that is being taken away.
        if (_opened.Task.IsCompleted && _time.GetElapsedTime(_confirmedAt) > _lease * LeaseShareToUse)
        {
            End(new Refusal(RefusalReason.UnknownSession, $"The session of engine '{_options.EngineName}' could not be renewed within its lease of {_lease.TotalSeconds:0.#} s; its pools are gone. Connect anew."));
            return;
        }

        if (_gateway.IsNobody())
        {
            if (_time.GetElapsedTime(_renewedAt) > TimeSpan.FromMilliseconds(500))
            {
                FindGateway();
            }

            return;
        }

        // Until the session is open, its opening may have been lost with a coordinator that was just moving.
        if (_time.GetElapsedTime(_renewedAt) > (_opened.Task.IsCompleted ? _lease / 3 : TimeSpan.FromMilliseconds(500)))
        {
            Renew();
        }

        for (var refused = _returns.Count; refused > 0; refused--)
        {
            var (pool, extents) = _returns.Dequeue();
            GiveBack(pool, extents);
        }

        foreach (var (id, pending) in _pending)
        {
            if (_time.GetElapsedTime(pending.SentAt) > Resending.After(pending.TimesSent, _options.ResendAfter))
            {
                SendNow(id, pending);
            }
        }

        if (_time.GetElapsedTime(_reportedAt) > _options.WarmReportInterval)
        {
            _reportedAt = _time.GetTimestamp();
            foreach (var pool in _pools.Values)
            {
                if (pool.TryReadWarm(out var warm))
                {
                    _gateway.Tell(new EngineProtocol.ReportWarmExtents(_id, pool.Id, warm), Self);
                }
            }
        }
    }

    private void Send(Submit submit, bool mustReturn = false)
    {
        if (_ended is { } ended)
        {
            submit.Answer.TrySetResult(new EngineProtocol.RequestRefused(_id, default, ended));
            return;
        }

        var pending = new Pending(submit.Make, submit.Answer) { MustReturn = mustReturn };
        _pending.Add(++_lastRequest, pending);
        SendNow(_lastRequest, pending);
    }

    private void SendNow(long id, Pending pending)
    {
        pending.SentAt = _time.GetTimestamp();
        pending.TimesSent++;
        var ackedThrough = _pending.Keys.First() - 1;
        var request = pending.Make(_id, new RequestId(id), new RequestId(ackedThrough));
        pending.Note(request);
        _gateway.Tell(request, Self);
    }

    private void Answered(EngineProtocol.IReply reply)
    {
        if (!_pending.Remove(reply.Request.Value, out var pending))
        {
            AnsweredAgain(reply);
            return;
        }

        // Before the caller hears of it, so that it can allocate blocks of these pages at once; and also when it waits no more.
        if (reply is EngineProtocol.PagesAllocated allocated && _pools.TryGetValue(allocated.Pool, out var pool))
        {
            pool.Add(allocated.Extents);
        }

        if (reply is EngineProtocol.PoolOpened opened)
        {
            if (_pools.ContainsKey(opened.Pool))
            {
                // Two allocators over the same pages would hand out the same blocks.
                reply = new EngineProtocol.RequestRefused(_id, reply.Request, new Refusal(
                    RefusalReason.NameInUse, $"{opened.Pool} is open in this session already. Use the pool that was opened first."));
            }

            else
            {
                _attaching.Add(opened.Pool);
            }

            _openedPools.Add(opened.Pool);
        }
        else if (pending is { IsClosing: true, Pool: { } closed })
        {
            // Whatever the answer, its engine doesn't use it any more.
            _pools.Remove(closed);
        }

        SettleReturn(pending, reply);
        pending.Answer.TrySetResult(reply);
        switch (reply)
        {
            case EngineProtocol.RequestRefused { Refusal.Reason: RefusalReason.UnknownSession } refused:
                End(refused.Refusal);
                break;
            case EngineProtocol.RequestRefused { Refusal.Reason: RefusalReason.UnknownPool } refused when pending.Pool is { } unknown:
                // Its withdrawal was lost on the way.
                Withdraw(unknown, refused.Refusal);
                break;
        }
    }
}
