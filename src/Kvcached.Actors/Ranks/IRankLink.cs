using Akka.Actor;
using Kvcached.Actors.Protocols;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// The one way in which a coordinator reaches a rank. Commands of one link arrive in order, or not at all.
/// </summary>
internal interface IRankLink
{
    void Send(RankProtocol.ICommand command);

    /// <summary>Lets go of it: it isn't used any more.</summary>
    void Close();
}

/// <summary>Reaches a rank by Akka.Remote: across machines too, at the price of its latency.</summary>
internal sealed class ActorRankLink(IActorRef mapper, IActorRef coordinator) : IRankLink
{
    public void Send(RankProtocol.ICommand command) => mapper.Tell(command, coordinator);

    public void Close()
    {
        // Nothing is held: the association is Akka's.
    }
}
