using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Kvcached.Actors.Clustering;
using Kvcached.Actors.Hosting;

namespace Kvcached.Actors.Tests.Clustering;

/// <summary>The cluster's failure detector, as Akka makes and asks it.</summary>
public sealed class PeerFailureDetectorSpecs : IDisposable
{
    private readonly ActorSystem _system = ActorSystem.Create(
        "detecting",
        ConfigurationFactory.ParseString(
            """
            akka.actor.provider = cluster
            akka.remote.dot-netty.tcp { hostname = 127.0.0.1, port = 0 }
            akka.loglevel = OFF
            akka.stdout-loglevel = OFF
            """).WithFallback(KvcachedHocon.Load("cluster")).WithFallback(ConfigurationFactory.ParseString("akka.cluster.downing-provider-class = \"\"")));

    private readonly Address _peer = new("akka.tcp", "detecting", "127.0.0.1", 1);
    private readonly Address _other = new("akka.tcp", "detecting", "127.0.0.1", 2);

    public void Dispose()
    {
        EndedPeers.Remove(_peer);
        _system.Terminate();
    }

    [Fact]
    public void Peer_whose_process_has_ended_should_be_gone_at_once_and_nobody_else()
    {
        var detector = Cluster.Get(_system).FailureDetector;
        detector.Heartbeat(_peer);
        detector.Heartbeat(_other);
        Assert.True(detector.IsAvailable(_peer));

        EndedPeers.Add(_peer);

        Assert.False(detector.IsAvailable(_peer));
        Assert.True(detector.IsAvailable(_other));
    }

    [Fact]
    public void Another_process_at_that_address_should_count_by_its_heartbeats()
    {
        var detector = Cluster.Get(_system).FailureDetector;
        EndedPeers.Add(_peer);
        detector.Heartbeat(_peer);
        Assert.False(detector.IsAvailable(_peer));

        EndedPeers.Remove(_peer);

        Assert.True(detector.IsAvailable(_peer));
    }
}
