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
    private readonly Action _over;
    private ISchedulerLine? _line;
    private TimeSpan _lease = TimeSpan.FromMinutes(1);

    /// <param name="session">The session.</param>
    /// <param name="coordinator">Where its commands go.</param>
    /// <param name="over">Called once the session is over; not when only the actor system ends.</param>
    public SessionRelay(SessionId session, IActorRef coordinator, Action over) => (_session, _coordinator, _over) = (session, coordinator, over);

    public sealed record Attach(ISchedulerLine Line) : INoSerializationVerificationNeeded;

    public sealed record Detach(ISchedulerLine Line) : INoSerializationVerificationNeeded;

    /// <param name="Message">What the engine said.</param>
    /// <param name="Taken">Called when it is passed on.</param>
    public sealed record Command(EngineProtocol.ICommand Message, Action Taken) : INoSerializationVerificationNeeded;

    public sealed class Died : INoSerializationVerificationNeeded
    {
        public static Died Instance { get; } = new();
    }

    private sealed class LeaseEnded : INoSerializationVerificationNeeded
    {
        public static LeaseEnded Instance { get; } = new();
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(SessionId session, IActorRef coordinator, Action over) =>
        Akka.Actor.Props.Create(() => new SessionRelay(session, coordinator, over));

    // Whose connection is lost while one actor system takes another's place may never attach.
    protected override void PreStart() => AwaitLine();

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Command command:
                _coordinator.Tell(command.Message, Self);
                command.Taken();
                break;
            case Attach attach:
                _line = attach.Line;
                Timers.Cancel(nameof(LeaseEnded));
                break;
            case Detach detach when ReferenceEquals(detach.Line, _line):
                _line = null;
                AwaitLine();
                break;
            case Died:
                _coordinator.Tell(new EngineProtocol.SessionDied(_session), Self);
                End();
                break;
            case LeaseEnded:
                End();
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
                End();
                break;
        }
    }

    private void AwaitLine() => Timers.StartSingleTimer(nameof(LeaseEnded), LeaseEnded.Instance, _lease + Margin);

    private void End()
    {
        _over();
        Context.Stop(Self);
    }
}
