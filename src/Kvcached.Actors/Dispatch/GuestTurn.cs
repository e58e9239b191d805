using Akka.Actor;

namespace Kvcached.Actors.Dispatch;

/// <summary>
/// Lets a thread that has read a message for an actor do that actor's part itself, when the actor's own thread (<see cref="SpinningThread"/>) has nothing to do: to
/// wake that takes longer than most of what is done. The actor still does one thing at a time.
/// </summary>
internal static class GuestTurn
{
    [ThreadStatic]
    private static bool _isOffered;

    /// <summary>Tells an actor something, and does its part where that can be at once. For threads that may do what the actor does: block, for example.</summary>
    public static void Tell(IActorRef actor, object message, IActorRef? sender)
    {
        _isOffered = true;
        try
        {
            actor.Tell(message, sender);
        }
        finally
        {
            _isOffered = false;
        }
    }

    /// <summary>True once for each <see cref="Tell"/>: what is done meanwhile is nobody's guest.</summary>
    public static bool TryTake()
    {
        var isOffered = _isOffered;
        _isOffered = false;
        return isOffered;
    }
}
