using Akka.Actor;
using Akka.Cluster;

namespace Kvcached.Host.Startup;

/// <summary>How joining the cluster went.</summary>
internal enum ClusterJoinOutcome
{
    /// <summary>This host is a member and up.</summary>
    Up,

    /// <summary>Nobody took it in in time.</summary>
    TimedOut,

    /// <summary>It was told to stop, or its actors ended, before it was up.</summary>
    Stopped,
}

/// <summary>Waits for this host to be a member.</summary>
internal static class ClusterJoin
{
    /// <param name="system">The actor system.</param>
    /// <param name="joinTimeout">How long it may take; zero = for ever.</param>
    /// <param name="stopping">Ends the wait.</param>
    public static async Task<ClusterJoinOutcome> WaitUntilUpAsync(ActorSystem system, TimeSpan joinTimeout, CancellationToken stopping)
    {
        var up = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Cluster.Get(system).RegisterOnMemberUp(() => up.TrySetResult());
        var timeout = Task.Delay(joinTimeout == TimeSpan.Zero ? Timeout.InfiniteTimeSpan : joinTimeout, stopping);
        var first = await Task.WhenAny(up.Task, timeout, system.WhenTerminated);
        if (first == up.Task)
        {
            return ClusterJoinOutcome.Up;
        }

        return first == timeout && !stopping.IsCancellationRequested ? ClusterJoinOutcome.TimedOut : ClusterJoinOutcome.Stopped;
    }
}
