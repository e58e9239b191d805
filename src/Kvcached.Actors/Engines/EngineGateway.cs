using Akka.Actor;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Engines;

namespace Kvcached.Actors.Engines;

/// <summary>Every host's door for engines: passes their messages on to the coordinator, wherever it is. Answers go straight back.</summary>
internal sealed class EngineGateway : UntypedActor
{
    private readonly IActorRef _coordinator;

    public EngineGateway(IActorRef coordinator) => _coordinator = coordinator;

    public static Props Props(IActorRef coordinator) => Akka.Actor.Props.Create(() => new EngineGateway(coordinator));

    protected override void OnReceive(object message)
    {
        if (message is EngineProtocol.ICommand or DomainProtocol.DescribeDomain)
        {
            _coordinator.Forward(message);
        }
        else
        {
            Unhandled(message);
        }
    }
}
