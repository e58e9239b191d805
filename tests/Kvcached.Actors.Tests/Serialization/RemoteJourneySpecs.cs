using Akka.Actor;
using Akka.Configuration;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Hosting;
using Kvcached.Actors.Protocols;

namespace Kvcached.Actors.Tests.Serialization;

/// <summary>Two actor systems on loopback, each with the built-in serializers, and a message of every kind sent across.</summary>
public sealed class RemoteJourneySpecs : TestKit
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly ActorSystem _other;

    public RemoteJourneySpecs()
        : base(Remoting(), "journey") =>
        _other = ActorSystem.Create("journey", Remoting());

    /// <summary>A message that somebody forgot to list.</summary>
    public sealed record Unlisted(int Number);

    [Fact]
    public async Task Every_message_should_arrive_over_the_network_as_it_was_sent()
    {
        var receiver = await ReachReceiver();
        foreach (var type in ProtocolMessages.All)
        {
            var sent = new SampleMaker(SampleStyle.Random, seed: 7, TestActor).Make(type);

            receiver.Tell(sent, TestActor);

            var received = await ExpectMsgAsync<object>(Patience);
            Assert.True(DeepDifference.Find(sent, received) is null, $"{type}: {DeepDifference.Find(sent, received)}");
        }
    }

    [Fact]
    public async Task Actor_reference_in_a_registration_should_lead_back_to_its_actor()
    {
        var receiver = await ReachReceiver(new Func<object, object>(message => ((RankProtocol.RegisterRank)message).Mapper.Path.ToString()));
        var mapper = CreateTestProbe("mapper");
        var registration = (RankProtocol.RegisterRank)new SampleMaker(SampleStyle.Random, seed: 8, mapper.Ref).Make(typeof(RankProtocol.RegisterRank));

        receiver.Tell(registration, TestActor);

        var address = ((ExtendedActorSystem)Sys).Provider.DefaultAddress;
        Assert.Equal(mapper.Ref.Path.ToStringWithAddress(address), await ExpectMsgAsync<string>(Patience));
    }

    [Fact]
    public async Task Unlisted_message_should_not_leave_and_the_link_should_live_on()
    {
        var receiver = await ReachReceiver();

        receiver.Tell(new Unlisted(1), TestActor);
        receiver.Tell(DomainProtocol.DescribeDomain.Instance, TestActor);

        // Order is kept on a link, so the first thing to arrive shows that the other never did.
        Assert.IsType<DomainProtocol.DescribeDomain>(await ExpectMsgAsync<object>(Patience));
    }

    protected override void AfterAll()
    {
        Shutdown(_other);
        base.AfterAll();
    }

    private async Task<IActorRef> ReachReceiver(Func<object, object>? answer = null)
    {
        _other.ActorOf(Props.Create(() => new Answerer(answer)), "receiver");
        var address = ((ExtendedActorSystem)_other).Provider.DefaultAddress;
        return await Sys.ActorSelection(new RootActorPath(address) / "user" / "receiver").ResolveOne(Patience);
    }

    private static Config Remoting() => ConfigurationFactory.ParseString(
        """
        akka.actor.provider = remote
        akka.remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0 }
        akka.loglevel = OFF
        """).WithFallback(KvcachedHocon.Load("serialization"));

    /// <summary>Sends back what comes, or what the function makes of it.</summary>
    private sealed class Answerer(Func<object, object>? answer) : UntypedActor
    {
        protected override void OnReceive(object message) => Sender.Tell(answer is null ? message : answer(message));
    }
}
