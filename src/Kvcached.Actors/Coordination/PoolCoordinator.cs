using Akka.Actor;
using Akka.Cluster;
using Akka.Event;
using Kvcached.Actors.Lanes;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Telemetry;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <summary>
/// The one coordinator of a domain (a cluster singleton): carries messages to and from <see cref="DomainState"/>, which decides. Two may
/// live for a moment, so every command carries the epoch, and ranks follow the higher one.
/// </summary>
internal sealed partial class PoolCoordinator : UntypedActor, IWithTimers, ICoordinatorPort
{
    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan StepDownPause = TimeSpan.FromSeconds(1);

    private readonly CoordinatorSettings _settings;
    private readonly EpochStore _epochs;
    private readonly TimeProvider _time;
    private readonly long _origin;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly Dictionary<SessionId, IActorRef> _engines = [];
    private readonly Dictionary<long, IActorRef> _operators = [];
    private DomainState? _domain;
    private long _lastTicket;
    private Epoch _seen;

    public PoolCoordinator(CoordinatorSettings settings, EpochStore epochs, TimeProvider time)
    {
        _settings = settings;
        _epochs = epochs;
        _time = time;
        _origin = time.GetTimestamp();
    }

    private sealed class Tick : INotInfluenceReceiveTimeout, INoSerializationVerificationNeeded
    {
        public static Tick Instance { get; } = new();
    }

    private sealed class TakeOver : INoSerializationVerificationNeeded
    {
        public static TakeOver Instance { get; } = new();
    }

    private sealed record MapperEnded(GpuId Gpu, IActorRef Mapper) : INoSerializationVerificationNeeded;

    public ITimerScheduler Timers { get; set; } = null!;

    private TimeSpan Now => _time.GetElapsedTime(_origin);

    public static Props Props(CoordinatorSettings settings, EpochStore epochs, TimeProvider time) =>
        Akka.Actor.Props.Create(() => new PoolCoordinator(settings, epochs, time));

    protected override void PreStart()
    {
        Cluster.Get(Context.System).Subscribe(
            Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents,
            typeof(ClusterEvent.IReachabilityEvent), typeof(ClusterEvent.MemberRemoved));
        Timers.StartPeriodicTimer(nameof(Tick), Tick.Instance, TickInterval);
        Begin();
    }

    protected override void PostStop()
    {
        Cluster.Get(Context.System).Unsubscribe(Self);
        _dialer?.Dispose();
    }

    protected override void OnReceive(object message)
    {
        if (message is TakeOver)
        {
            Begin();
        }
        else if (_domain is null && message is LaneDialer.LaneOpened late)
        {
            late.Link.Close();
        }
        else if (_domain is { } domain && !TryHandle(domain, message))
        {
            Unhandled(message);
        }
    }

    private bool TryHandle(DomainState domain, object message)
    {
        switch (message)
        {
            case RankProtocol.Decided decided:
                domain.Decided(Now, decided.Answer);
                return true;
            case EngineProtocol.ICommand command:
                _engines[command.Session] = Sender;
                HandleEngine(domain, command);
                return true;
            case Tick:
                domain.Tick(Now);
                return true;
            case RankProtocol.RegisterRank registration:
                Register(domain, registration);
                return true;
            case RankProtocol.RankReported report:
                domain.RankReported(Now, report);
                return true;
            case RankProtocol.RankPoolAnswer answer:
                domain.RankPoolAnswered(Now, answer);
                return true;
            case RankProtocol.QuarantineCleared cleared:
                domain.QuarantineCleared(Now, cleared);
                return true;
            case RankProtocol.WorkerChanged changed:
                domain.WorkerChanged(Now, changed);
                return true;
            case RankProtocol.EpochRefused refused:
                domain.EpochRefused(Now, refused);
                return true;
            case RankProtocol.PoliciesKept kept:
                domain.PoliciesKept(Now, kept);
                return true;
            case OperatorProtocol.ICommand command:
                HandleOperator(domain, command);
                return true;
            case DomainProtocol.DescribeDomain:
                Sender.Tell(domain.Describe(), Self);
                return true;
            case LaneDialer.LaneOpened opened:
                Opened(domain, opened);
                return true;
            case LaneDialer.LaneFailed failed:
                Failed(domain, failed);
                return true;
            case LaneDialer.LaneLost lost:
                Lost(domain, lost);
                return true;
            case MapperEnded ended:
                if (_links.TryGetIncarnation(ended.Gpu, ended.Mapper, out var incarnation))
                {
                    domain.RankReachable(Now, ended.Gpu, incarnation, false);
                }

                return true;
            case ClusterEvent.UnreachableMember unreachable:
                SetReachable(domain, unreachable.Member.Address, false);
                return true;
            case ClusterEvent.ReachableMember reachable:
                SetReachable(domain, reachable.Member.Address, true);
                return true;
            case ClusterEvent.MemberRemoved removed:
                Lose(domain, removed.Member.Address);
                return true;
            default:
                return false;
        }
    }

    private void HandleEngine(DomainState domain, EngineProtocol.ICommand command)
    {
        switch (command)
        {
            case EngineProtocol.IRequest request:
                domain.Receive(Now, request);
                break;
            case EngineProtocol.OpenSession open:
                domain.OpenSession(Now, open);
                break;
            case EngineProtocol.ReportWarmExtents report:
                domain.ReportWarm(Now, report);
                break;
            case EngineProtocol.RevokeAnswered answer:
                domain.RevokeAnswered(Now, answer);
                break;
            case EngineProtocol.ExtentsChecked held:
                domain.ExtentsChecked(Now, held);
                break;
            case EngineProtocol.CloseSession close:
                domain.CloseSession(Now, close.Session);
                break;
            case EngineProtocol.SessionDied died:
                domain.SessionDied(Now, died.Session);
                break;
        }
    }

    private void HandleOperator(DomainState domain, OperatorProtocol.ICommand command)
    {
        if (command is OperatorProtocol.ReadEvents read)
        {
            Sender.Tell(domain.ReadEvents(Now, read), Self);
            return;
        }

        _operators.Add(++_lastTicket, Sender);
        switch (command)
        {
            case OperatorProtocol.ChangePolicy change:
                domain.ChangePolicy(Now, _lastTicket, change);
                break;
            case OperatorProtocol.DrainGpu drain:
                domain.DrainGpu(Now, _lastTicket, drain);
                break;
            case OperatorProtocol.TrimPool trim:
                domain.TrimPool(Now, _lastTicket, trim);
                break;
        }
    }

    private void Begin()
    {
        var uid = Cluster.Get(Context.System).SelfUniqueAddress.Uid;
        var epoch = _epochs.TakeNext(uid, _seen);
        KvcachedMeter.TakeOvers.Add(1);
        _domain = new DomainState(epoch, _settings, this, Now);
        _log.Info("Coordinating domain {Domain} in {Epoch}", _settings.Domain, epoch);
    }

    void ICoordinatorPort.ToRank(GpuId gpu, RankProtocol.ICommand command)
    {
        if (_links.TryGet(gpu, out var link))
        {
            link.Send(command);
        }
    }

    void ICoordinatorPort.ToEngine(SessionId session, EngineProtocol.IMessage message)
    {
        if (_engines.TryGetValue(session, out var engine))
        {
            engine.Tell(message, Self);
        }
    }

    void ICoordinatorPort.ToOperator(long ticket, OperatorProtocol.IReply reply)
    {
        if (_operators.Remove(ticket, out var caller))
        {
            caller.Tell(reply, Self);
        }
    }

    void ICoordinatorPort.ForgetEngine(SessionId session) => _engines.Remove(session);

    void ICoordinatorPort.Warn(string what)
    {
        _log.Warning("{What}", what);
        _domain?.NoteWarning(what);
    }

    void ICoordinatorPort.StepDown(Epoch newer)
    {
        if (_domain is null)
        {
            return;
        }

        // What this one had decided is void. If it is still the domain's coordinator, it takes over again above the newer epoch.
        _log.Warning("Stepping down from {Epoch}: a rank follows {Newer}", _domain.Epoch, newer);
        _domain = null;
        _operators.Clear();
        _seen = newer;
        LetGoOfLinks();
        Timers.StartSingleTimer(nameof(TakeOver), TakeOver.Instance, StepDownPause);
    }
}
