using System.Runtime.InteropServices;
using Akka.Actor;
using Kvcached.Actors.Ranks;

namespace Kvcached.Actors.Hosting;

/// <summary>
/// For tests only: lets the signal SIGUSR1 make the page mapper fail, and SIGUSR2 cut the coordinator's lane, so that what follows can be tried in a running host.
/// </summary>
internal static class CrashSignal
{
    // By their numbers on Linux, since .NET has no names for them. Unheard, they would end the process.
    private const PosixSignal FirstUserSignal = (PosixSignal)10;
    private const PosixSignal SecondUserSignal = (PosixSignal)12;

    public static void Hear(ActorSystem system, IActorRef supervisor)
    {
        Hear(system, supervisor, FirstUserSignal, RankSupervisor.CrashMapper.Instance);
        Hear(system, supervisor, SecondUserSignal, RankSupervisor.CutLane.Instance);
    }

    private static void Hear(ActorSystem system, IActorRef supervisor, PosixSignal signal, object order)
    {
        var registration = PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            supervisor.Tell(order);
        });
        system.RegisterOnTermination(registration.Dispose);
    }
}
