using Akka.Actor;
using Akka.Event;
using Kvcached.Actors.Lanes;
using Kvcached.Actors.Protocols;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// Keeps one page mapper alive on its host, starting a new one with back-off when it fails, and makes it known to the coordinator again and
/// again, so that a new coordinator finds it.
/// </summary>
internal sealed class RankSupervisor : UntypedActor, IWithTimers
{
    // A mapper that fails once is back before an engine notices; only one that fails again and again is made to wait.
    private static readonly TimeSpan FirstBackOff = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestBackOff = TimeSpan.FromSeconds(10);

    private readonly RankSupervisorSettings _settings;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private LaneServer? _lanes;
    private LaneId _endedLane;
    private IActorRef _mapper = ActorRefs.Nobody;
    private TimeSpan _backOff = FirstBackOff;
    private int _generation;

    public RankSupervisor(RankSupervisorSettings settings) => _settings = settings;

    private sealed class StartMapper : INoSerializationVerificationNeeded
    {
        public static StartMapper Instance { get; } = new();
    }

    /// <summary>The rank makes itself known, now and from time to time.</summary>
    internal sealed class Register : INotInfluenceReceiveTimeout, INoSerializationVerificationNeeded
    {
        public static Register Instance { get; } = new();
    }

    private sealed class Settled : INotInfluenceReceiveTimeout, INoSerializationVerificationNeeded
    {
        public static Settled Instance { get; } = new();
    }

    /// <summary>Makes the mapper fail as if it had a bug. Never leaves the process: it has no serializer.</summary>
    internal sealed class CrashMapper : INoSerializationVerificationNeeded
    {
        public static CrashMapper Instance { get; } = new();
    }

    /// <summary>Ends the coordinator's lane as if its socket had failed. Never leaves the process.</summary>
    internal sealed class CutLane : INoSerializationVerificationNeeded
    {
        public static CutLane Instance { get; } = new();
    }

    /// <summary>The mapper has taken in everything that came by a lane, which has ended.</summary>
    internal sealed record LaneSettled(LaneId Lane) : INoSerializationVerificationNeeded;

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(RankSupervisorSettings settings) => Akka.Actor.Props.Create(() => new RankSupervisor(settings));

    protected override void PreStart()
    {
        Timers.StartPeriodicTimer(nameof(Register), Register.Instance, _settings.RegisterInterval);
        OpenLanes();
        if (_settings.DeviceWatch is { } watch)
        {
            Context.ActorOf(Ranks.DeviceWatch.Props(_settings.State, watch, _settings.HousekeepingInterval), "device-watch");
        }

        Start();
    }

    protected override void PostStop() => _lanes?.Dispose();

    /// <summary>A mapper that failed is stopped; a fresh one reads the rank's state, which is not the mapper's.</summary>
    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(_ => Directive.Stop);

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case StartMapper:
                Start();
                break;
            case Register:
                MakeKnown();
                break;
            case CrashMapper:
                _mapper.Tell(Kill.Instance);
                break;
            case CutLane:
                _lanes?.Cut();
                break;
            case LaneSettled settled:
                _endedLane = settled.Lane > _endedLane ? settled.Lane : _endedLane;
                MakeKnown();
                break;
            case DeviceWatch.Changed:
                MakeKnown();
                _mapper.Tell(message);
                break;
            case Settled:
                _backOff = FirstBackOff;
                break;
            case Terminated terminated when terminated.ActorRef.Equals(_mapper):
                _log.Warning("The page mapper of {Gpu} has ended; a new one starts in {BackOff} ms", _settings.State.Pages.Gpu, _backOff.TotalMilliseconds);
                _mapper = ActorRefs.Nobody;
                _lanes?.Use(_mapper);
                Timers.Cancel(nameof(Settled));
                Timers.StartSingleTimer(nameof(StartMapper), StartMapper.Instance, _backOff);
                _backOff = TimeSpan.FromTicks(Math.Min(LongestBackOff.Ticks, _backOff.Ticks * 2));
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    private void Start()
    {
        _mapper = Context.ActorOf(
            PageMapper.Props(_settings.State, _settings.Holdings, _settings.DataChecker, _settings.HousekeepingInterval, _settings.WorkerDeadline)
                .WithDispatcher(_settings.MapperDispatcher),
            $"page-mapper-{++_generation}");
        Context.Watch(_mapper);
        _lanes?.Use(_mapper);
        Timers.StartSingleTimer(nameof(Settled), Settled.Instance, LongestBackOff);
        MakeKnown();
    }

    private void OpenLanes()
    {
        var pages = _settings.State.Pages;
        string? problem = null;
        _lanes = _settings.LaneDirectory is { } directory && MachineBoot.Id.Length > 0
            ? LaneServer.TryOpen(Context.System, directory, _settings.Domain, pages.Gpu, pages.Incarnation, out problem)
            : null;
        if (problem is not null)
        {
            _log.Warning("Coordinators of this machine reach {Gpu} by Akka.Remote: {Problem}", pages.Gpu, problem);
        }
    }

    private void MakeKnown()
    {
        if (!_mapper.IsNobody())
        {
            var pages = _settings.State.Pages;
            _settings.Coordinator.Tell(
                new RankProtocol.RegisterRank(
                    pages.Gpu, pages.Incarnation, _settings.Domain, _mapper, pages.CapacityBytes, pages.GranularityBytes, pages.Backend,
                    _settings.DeviceName, _settings.State.HighestEpoch)
                {
                    IsRecovering = _settings.State.Awaited is not null,
                    Awaited = _settings.State.Awaited ?? string.Empty,
                    IsDraining = _settings.State.IsDraining,
                    Device = _settings.State.Device,
                    Lane = _lanes is { } lanes ? new LaneOffer(MachineBoot.Id, lanes.Path, _endedLane.Epoch, _endedLane.Serial) : null,
                },
                _mapper);
        }
    }
}
