using System.Runtime.InteropServices;
using Akka.Actor;
using Kvcached.Actors.Ranks;

namespace Kvcached.Actors.Hosting;

/// <summary>For tests only: lets the signal SIGUSR1 make the page mapper fail, so that its restart can be tried in a running host.</summary>
internal static class CrashSignal
{
    /// <summary>SIGUSR1 by its number on Linux, since .NET has no name for it. Unheard, it would end the process.</summary>
    private const PosixSignal UserSignal = (PosixSignal)10;

    public static void Hear(ActorSystem system, IActorRef supervisor)
    {
        var registration = PosixSignalRegistration.Create(UserSignal, context =>
        {
            context.Cancel = true;
            supervisor.Tell(RankSupervisor.CrashMapper.Instance);
        });
        system.RegisterOnTermination(registration.Dispose);
    }
}
