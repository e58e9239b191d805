using Akka.Actor;
using Akka.Cluster;
using Akka.Cluster.Tools.Singleton;
using Akka.Configuration;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Hosting;
using Kvcached.Actors.Protocols;

namespace Kvcached.Actors.Tests.Serialization;

/// <summary>A cluster of two with the JSON serializer shut: Akka's own messages must not need it.</summary>
public sealed class ClusterWithoutJsonSpecs : TestKit
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(40);

    private readonly ActorSystem _second;

    public ClusterWithoutJsonSpecs()
        : base(Clustering(), "without-json") =>
        _second = ActorSystem.Create("without-json", Clustering());

    [Fact]
    public async Task Cluster_should_form_and_hand_its_singleton_over_when_json_is_refused()
    {
        var first = Akka.Cluster.Cluster.Get(Sys);
        await first.JoinAsync(first.SelfAddress);
        StartSingleton(Sys);
        var proxy = StartProxy(Sys);
        await AskUntilAnsweredBy(proxy, first.SelfAddress);

        await Akka.Cluster.Cluster.Get(_second).JoinAsync(first.SelfAddress);
        StartSingleton(_second);
        await AwaitAssertAsync(
            () => Assert.Equal(2, first.State.Members.Count(member => member.Status == MemberStatus.Up)), Patience);

        // From the second node, the request and its answer cross the network.
        var secondProxy = StartProxy(_second);
        await AskUntilAnsweredBy(secondProxy, first.SelfAddress);

        await first.LeaveAsync();
        await AskUntilAnsweredBy(secondProxy, Akka.Cluster.Cluster.Get(_second).SelfAddress);
    }

    protected override void AfterAll()
    {
        Shutdown(_second);
        base.AfterAll();
    }

    private static void StartSingleton(ActorSystem system) => system.ActorOf(
        ClusterSingletonManager.Props(
            Props.Create(() => new Describer()), PoisonPill.Instance, ClusterSingletonManagerSettings.Create(system)),
        "describer");

    private static IActorRef StartProxy(ActorSystem system) => system.ActorOf(
        ClusterSingletonProxy.Props("/user/describer", ClusterSingletonProxySettings.Create(system)));

    private Task AskUntilAnsweredBy(IActorRef proxy, Address host) => AwaitAssertAsync(
        async () =>
        {
            var description = await proxy.Ask<DomainProtocol.DomainDescription>(
                DomainProtocol.DescribeDomain.Instance, TimeSpan.FromSeconds(2));
            Assert.Equal(host.ToString(), description.Domain);
        },
        Patience);

    private static Config Clustering() => ConfigurationFactory.ParseString(
        """
        akka.actor.provider = cluster
        akka.remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0 }
        akka.cluster.gossip-interval = 100 ms
        akka.cluster.leader-actions-interval = 100 ms
        akka.cluster.min-nr-of-members = 1
        akka.cluster.downing-provider-class = ""
        akka.cluster.singleton.hand-over-retry-interval = 200 ms
        akka.cluster.singleton-proxy.singleton-identification-interval = 200 ms
        akka.loglevel = OFF
        """)
        .WithFallback(KvcachedHocon.Load("serialization"))
        .WithFallback(ClusterSingleton.DefaultConfig());

    /// <summary>Says on which node it runs.</summary>
    private sealed class Describer : ReceiveActor
    {
        public Describer()
        {
            var address = Akka.Cluster.Cluster.Get(Context.System).SelfAddress.ToString();
            Receive<DomainProtocol.DescribeDomain>(_ => Sender.Tell(new DomainProtocol.DomainDescription(
                address, default, 2, IsRecovering: false, [], [], new DomainProtocol.DomainCounters(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))));
        }
    }
}
