using Akka.Configuration;
using Akka.Event;
using Akka.Remote;

namespace Kvcached.Actors.Clustering;

/// <summary>
/// The cluster's failure detector: as Akka's, by missing heartbeats, and at once for a peer whose process is known to have ended. So a host that is only slow
/// keeps its membership as long as ever, and one that was killed loses it without any wait.
/// </summary>
/// <remarks>Made by Akka from <c>akka.cluster.failure-detector.implementation-class</c>, with the settings that its own detector takes.</remarks>
public sealed class PeerFailureDetector(Config config, EventStream events) : PhiAccrualFailureDetector(config, events)
{
    /// <summary>False when heartbeats are missing, or the peer's process has ended.</summary>
    public override bool IsAvailable => !EndedPeers.Contains(Address) && base.IsAvailable;
}
