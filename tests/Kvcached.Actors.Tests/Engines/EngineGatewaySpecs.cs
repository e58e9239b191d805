using Akka.Event;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Engines;

/// <summary>The door for engines passes on what engines may say, and nothing else.</summary>
public sealed class EngineGatewaySpecs : TestKit
{
    [Fact]
    public void Gateway_should_forward_commands_and_questions_with_their_sender()
    {
        var coordinator = CreateTestProbe();
        var engine = CreateTestProbe();
        var gateway = Sys.ActorOf(EngineGateway.Props(coordinator));
        var session = SessionId.New();

        gateway.Tell(new EngineProtocol.OpenSession(session, "e", "d"), engine);
        Assert.Equal(session, coordinator.ExpectMsg<EngineProtocol.OpenSession>().Session);
        Assert.Equal(engine.Ref, coordinator.LastSender);
        gateway.Tell(DomainProtocol.DescribeDomain.Instance, engine);
        coordinator.ExpectMsg<DomainProtocol.DescribeDomain>();
        Assert.Equal(engine.Ref, coordinator.LastSender);
    }

    [Fact]
    public void Gateway_should_not_let_an_engine_speak_for_a_rank()
    {
        var coordinator = CreateTestProbe();
        var unhandled = CreateTestProbe();
        Sys.EventStream.Subscribe(unhandled, typeof(UnhandledMessage));
        var gateway = Sys.ActorOf(EngineGateway.Props(coordinator));

        gateway.Tell(new RankProtocol.EpochRefused(TestPools.Gpu(0), new HostIncarnation(1), default, new Epoch(99, 1)), TestActor);

        unhandled.ExpectMsg<UnhandledMessage>();
        Assert.False(coordinator.HasMessages);
    }
}
