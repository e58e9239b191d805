using Akka.Actor;
using Akka.Event;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Engines;

/// <summary>
/// An engine's session: finds a host that answers, keeps the lease, numbers requests and sends them again until they are answered, answers
/// revokes at once, and tells the coordinator what is warm.
/// </summary>
internal sealed class EngineSession : UntypedActor, IWithTimers
{
    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(100);

    private readonly EngineClientOptions _options;
    private readonly SessionId _id = SessionId.New();
    private readonly TaskCompletionSource<Refusal?> _opened;
    private readonly TimeProvider _time;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly SortedDictionary<long, Pending> _pending = [];
    private readonly Dictionary<PoolId, EnginePool> _pools = [];
    private IActorRef _gateway = ActorRefs.Nobody;
    private TaskCompletionSource? _closing;
    private Refusal? _ended;
    private long _lastRequest;
    private int _nextHost;
    private long _renewedAt;
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

    private sealed class Pending(EngineSessionHandle.MakeRequest make, TaskCompletionSource<EngineProtocol.IReply> answer)
    {
        public EngineSessionHandle.MakeRequest Make { get; } = make;

        public TaskCompletionSource<EngineProtocol.IReply> Answer { get; } = answer;

        public long SentAt { get; set; }
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
            case EngineProtocol.RevokeExtents revoke:
                var givenUp = _pools.TryGetValue(revoke.Pool, out var revoked) ? revoked.GiveUp(revoke.Extents) : [];
                _gateway.Tell(new EngineProtocol.RevokeAnswered(_id, revoke.Pool, revoke.RevokeId, givenUp), Self);
                break;
            case Tick:
                KeepUp();
                break;
            case AttachPool attach:
                _pools[attach.Pool.Id] = attach.Pool;
                break;
            case EngineProtocol.SessionOpened opened:
                _lease = opened.Lease;
                _opened.TrySetResult(null);
                break;
            case EngineProtocol.SessionRefused refused:
                _opened.TrySetResult(refused.Refusal);
                break;
            case EngineProtocol.PoolWithdrawn withdrawn:
                if (_pools.Remove(withdrawn.Pool, out var gone))
                {
                    _log.Warning("{Pool} was withdrawn: {Refusal}", withdrawn.Pool, withdrawn.Refusal);
                    gone.Withdraw(withdrawn.Refusal);
                }

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
        _gateway.Tell(new EngineProtocol.OpenSession(_id, _options.EngineName, _options.Domain), Self);
    }

    private void KeepUp()
    {
        if (_ended is not null || _closing is not null)
        {
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

        foreach (var (id, pending) in _pending)
        {
            if (_time.GetElapsedTime(pending.SentAt) > _options.ResendAfter)
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

    private void Send(Submit submit)
    {
        if (_ended is { } ended)
        {
            submit.Answer.TrySetResult(new EngineProtocol.RequestRefused(_id, default, ended));
            return;
        }

        var pending = new Pending(submit.Make, submit.Answer);
        _pending.Add(++_lastRequest, pending);
        SendNow(_lastRequest, pending);
    }

    private void SendNow(long id, Pending pending)
    {
        pending.SentAt = _time.GetTimestamp();
        var ackedThrough = _pending.Keys.First() - 1;
        _gateway.Tell(pending.Make(_id, new RequestId(id), new RequestId(ackedThrough)), Self);
    }

    private void Answered(EngineProtocol.IReply reply)
    {
        if (!_pending.Remove(reply.Request.Value, out var pending))
        {
            return;
        }

        // Before the caller hears of it, so that it can allocate blocks of these pages at once; and also when it waits no more.
        if (reply is EngineProtocol.PagesAllocated allocated && _pools.TryGetValue(allocated.Pool, out var pool))
        {
            pool.Add(allocated.Extents);
        }

        if (reply is EngineProtocol.PoolClosed closed)
        {
            _pools.Remove(closed.Pool);
        }

        pending.Answer.TrySetResult(reply);
        if (reply is EngineProtocol.RequestRefused { Refusal.Reason: RefusalReason.UnknownSession } refused)
        {
            End(refused.Refusal);
        }
    }

    private void End(Refusal why)
    {
        _ended ??= why;
        foreach (var pool in _pools.Values)
        {
            pool.Withdraw(why);
        }

        foreach (var pending in _pending.Values)
        {
            pending.Answer.TrySetResult(new EngineProtocol.RequestRefused(_id, default, why));
        }

        _pools.Clear();
        _pending.Clear();
    }
}
