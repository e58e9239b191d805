using Akka.Actor;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Host.Gateway;

/// <summary>
/// The coordinator's partner for one session that came over the socket: passes commands on and brings answers back, whichever connection the session
/// has at the moment. Lives as long as the session may.
/// </summary>
internal sealed class SessionRelay : UntypedActor, IWithTimers
{
    // Beyond the lease, by which the coordinator has ended what wasn't renewed.
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(5);

    private readonly SessionId _session;
    private readonly IActorRef _coordinator;
    private readonly Action _ended;
    private ISchedulerLine? _line;
    private TimeSpan _lease = TimeSpan.FromMinutes(1);

    public SessionRelay(SessionId session, IActorRef coordinator, Action ended) => (_session, _coordinator, _ended) = (session, coordinator, ended);

    public sealed record Attach(ISchedulerLine Line) : INoSerializationVerificationNeeded;

    public sealed record Detach(ISchedulerLine Line) : INoSerializationVerificationNeeded;

    public sealed record Command(ISchedulerLine Line, EngineProtocol.ICommand Message) : INoSerializationVerificationNeeded;

    public sealed class Died : INoSerializationVerificationNeeded
    {
        public static Died Instance { get; } = new();
    }

    private sealed class LeaseEnded : INoSerializationVerificationNeeded
    {
        public static LeaseEnded Instance { get; } = new();
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(SessionId session, IActorRef coordinator, Action ended) =>
        Akka.Actor.Props.Create(() => new SessionRelay(session, coordinator, ended));

    protected override void PostStop() => _ended();

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Command command:
                _coordinator.Tell(command.Message, Self);
                command.Line.CommandTaken();
                break;
            case Attach attach:
                _line = attach.Line;
                Timers.Cancel(nameof(LeaseEnded));
                break;
            case Detach detach when ReferenceEquals(detach.Line, _line):
                _line = null;
                Timers.StartSingleTimer(nameof(LeaseEnded), LeaseEnded.Instance, _lease + Margin);
                break;
            case Died:
                _coordinator.Tell(new EngineProtocol.SessionDied(_session), Self);
                Context.Stop(Self);
                break;
            case LeaseEnded:
                Context.Stop(Self);
                break;
            case EngineProtocol.IReply or EngineProtocol.IEvent when message is EngineProtocol.IMessage { Session: var session } said && session == _session:
                Deliver(said);
                break;
            case Detach:
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    private void Deliver(EngineProtocol.IMessage message)
    {
        _line?.Deliver(message);
        switch (message)
        {
            case EngineProtocol.SessionOpened opened:
                _lease = opened.Lease;
                break;
            case EngineProtocol.SessionClosed or EngineProtocol.SessionRefused:
                Context.Stop(Self);
                break;
        }
    }
}

/// <summary>Sessions as actors of the host's system.</summary>
internal sealed class AkkaSessions(ActorSystem system, IActorRef coordinator) : ISchedulerSessions
{
    public ISchedulerSession Open(SessionId session, Action ended) => new Session(system.ActorOf(SessionRelay.Props(session, coordinator, ended)));

    private sealed class Session(IActorRef relay) : ISchedulerSession
    {
        public void Attach(ISchedulerLine line) => relay.Tell(new SessionRelay.Attach(line));

        public void Detach(ISchedulerLine line) => relay.Tell(new SessionRelay.Detach(line));

        public void Tell(ISchedulerLine line, EngineProtocol.ICommand command) => relay.Tell(new SessionRelay.Command(line, command));

        public void Died() => relay.Tell(SessionRelay.Died.Instance);
    }
}
