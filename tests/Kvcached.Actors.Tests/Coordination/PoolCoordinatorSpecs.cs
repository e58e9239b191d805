using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>The coordinator as an actor: messages find their way, epochs rise, and links are those of ranks that were accepted.</summary>
public sealed class PoolCoordinatorSpecs : TestKit
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-coordinator-").FullName;
    private readonly IActorRef _coordinator;

    public PoolCoordinatorSpecs()
        : base("""
            akka.actor.provider = cluster
            akka.remote.dot-netty.tcp { hostname = 127.0.0.1, port = 0 }
            """)
    {
        _coordinator = StartCoordinator();
    }

    [Fact]
    public void Coordinator_should_carry_a_pool_from_opening_to_closing()
    {
        var ranks = new[] { Join(0, out _), Join(1, out _) };
        var engine = CreateTestProbe("engine");
        var session = SessionId.New();
        _coordinator.Tell(new EngineProtocol.OpenSession(session, "e", "test"), engine);
        engine.ExpectMsg<EngineProtocol.SessionOpened>();

        _coordinator.Tell(new EngineProtocol.OpenPool(session, new RequestId(1), default, TestPools.Spec("a", TestPools.Gpus(2))), engine);
        foreach (var rank in ranks)
        {
            var open = rank.ExpectMsg<RankProtocol.OpenRankPool>();
            _coordinator.Tell(new RankProtocol.RankPoolAnswer(GpuOf(rank), Incarnation, open.Epoch, open.Pool, true, null), rank);
        }

        var pool = engine.ExpectMsg<EngineProtocol.PoolOpened>().Pool;
        _coordinator.Tell(new EngineProtocol.AllocatePages(session, new RequestId(2), new RequestId(1), pool, 0, 4, TimeSpan.FromMinutes(1)), engine);
        foreach (var rank in ranks)
        {
            var decision = rank.ExpectMsg<RankProtocol.Decide>().Decision;
            _coordinator.Tell(Applied(rank, decision, decision.Extents.Aggregate(LayoutDigest.Empty, (d, e) => d.With(e))), rank);
        }

        Assert.Equal(4, engine.ExpectMsg<EngineProtocol.PagesAllocated>().Extents.Sum(e => e.PageCount));
        _coordinator.Tell(DomainProtocol.DescribeDomain.Instance, engine);
        Assert.Equal(4, Assert.Single(engine.ExpectMsg<DomainProtocol.DomainDescription>().Pools).MappedPageCount);
        _coordinator.Tell(new EngineProtocol.CloseSession(session), engine);
        engine.ExpectMsg<EngineProtocol.SessionClosed>();
        Assert.All(ranks, rank => rank.ExpectMsg<RankProtocol.CloseRankPool>());
    }

    [Fact]
    public void Next_coordinator_should_take_a_higher_epoch()
    {
        Join(0, out var first);
        Watch(_coordinator);
        Sys.Stop(_coordinator);
        ExpectTerminated(_coordinator);

        var successor = StartCoordinator();
        var rank = CreateTestProbe();
        successor.Tell(Registration(0, rank), rank);

        Assert.True(rank.ExpectMsg<RankProtocol.ReportRank>().Epoch > first);
    }

    [Fact]
    public void Coordinator_should_step_down_and_take_over_above_the_epoch_that_a_rank_follows()
    {
        var rank = Join(0, out var first);
        var newer = new Epoch(first.Counter + 50, 3);

        _coordinator.Tell(new RankProtocol.EpochRefused(GpuOf(rank), Incarnation, first, newer), rank);

        AwaitAssert(() =>
        {
            _coordinator.Tell(Registration(0, rank), rank);
            Assert.True(rank.FishForMessage<RankProtocol.ReportRank>(_ => true, TimeSpan.FromMilliseconds(300)).Epoch.Counter > newer.Counter);
        }, TimeSpan.FromSeconds(10), TimeSpan.FromMilliseconds(50));
    }

    [Fact]
    public void Refused_registration_should_be_told_to_its_sender_and_leave_the_rank_of_that_gpu_alone()
    {
        var rank = Join(0, out _);
        var intruder = CreateTestProbe("intruder");

        _coordinator.Tell(Registration(0, intruder) with { Domain = "elsewhere" }, intruder);

        Assert.Equal(RefusalReason.UnknownDomain, intruder.ExpectMsg<RankProtocol.RankRejected>().Refusal.Reason);
        var engine = OpenPool(out _);
        rank.ExpectMsg<RankProtocol.OpenRankPool>();
        Assert.False(intruder.HasMessages);
        Assert.False(engine.HasMessages);
    }

    [Fact]
    public void Rank_whose_mapper_ended_should_take_part_in_nothing_until_its_successor_registers()
    {
        var rank = Join(0, out _);
        Watch(rank);
        Sys.Stop(rank);
        ExpectTerminated(rank);
        AwaitAssert(() =>
        {
            _coordinator.Tell(DomainProtocol.DescribeDomain.Instance, TestActor);
            Assert.False(Assert.Single(FishForMessage<DomainProtocol.DomainDescription>(_ => true).Gpus).IsAvailable);
        });

        var successor = CreateTestProbe("successor");
        _coordinator.Tell(Registration(0, successor), successor);
        OpenPool(out _);

        // It is asked although the rank is known, so that it knows whom to tell news.
        successor.ExpectMsg<RankProtocol.ReportRank>();
        successor.ExpectMsg<RankProtocol.OpenRankPool>();
    }

    [Fact]
    public void Decision_that_a_mapper_took_with_it_should_be_sent_to_its_successor_at_once()
    {
        var rank = Join(0, out _);
        var engine = OpenPool(out var session);
        var open = rank.ExpectMsg<RankProtocol.OpenRankPool>();
        _coordinator.Tell(new RankProtocol.RankPoolAnswer(GpuOf(rank), Incarnation, open.Epoch, open.Pool, true, null), rank);
        engine.ExpectMsg<EngineProtocol.PoolOpened>();
        _coordinator.Tell(new EngineProtocol.AllocatePages(session, new RequestId(2), new RequestId(1), open.Pool, 0, 4, TimeSpan.FromMinutes(1)), engine);
        var lost = rank.ExpectMsg<RankProtocol.Decide>().Decision;
        Sys.Stop(rank);

        var successor = CreateTestProbe(TestPools.Gpu(0).Value + "-again");
        _coordinator.Tell(Registration(0, successor), successor);

        successor.ExpectMsg<RankProtocol.ReportRank>();
        Assert.Equal(lost.Seq, successor.ExpectMsg<RankProtocol.Decide>().Decision.Seq);
    }

    protected override void AfterAll()
    {
        base.AfterAll();
        Directory.Delete(_directory, recursive: true);
    }

    private static HostIncarnation Incarnation { get; } = new(11);

    private static GpuId GpuOf(TestProbe rank) => GpuId.Parse(rank.Ref.Path.Name);

    private static RankProtocol.RegisterRank Registration(int gpu, IActorRef mapper) =>
        new(TestPools.Gpu(gpu), Incarnation, "test", mapper, 64 * TestPools.PageBytes, TestPools.PageBytes, "host", "probe", default);

    private static RankProtocol.Decided Applied(TestProbe rank, Decision decision, LayoutDigest digest) => new(new DecisionAnswer(
        decision.Pool, decision.Epoch, decision.Seq, decision.Seq, GpuOf(rank), Incarnation, DecisionOutcome.Applied, digest, null, [], 1));

    private IActorRef StartCoordinator() => Sys.ActorOf(PoolCoordinator.Props(
        new CoordinatorSettings { Domain = "test", ResendInterval = TimeSpan.FromMinutes(1), DecisionDeadline = TimeSpan.FromMinutes(1) }, new EpochStore(_directory, "test"), TimeProvider.System));

    /// <summary>A rank that holds nothing, registered and reported.</summary>
    private TestProbe Join(int gpu, out Epoch epoch)
    {
        var rank = CreateTestProbe(TestPools.Gpu(gpu).Value);
        _coordinator.Tell(Registration(gpu, rank), rank);
        epoch = rank.ExpectMsg<RankProtocol.ReportRank>().Epoch;
        _coordinator.Tell(new RankProtocol.RankReported(TestPools.Gpu(gpu), Incarnation, epoch, []), rank);
        return rank;
    }

    private TestProbe OpenPool(out SessionId session)
    {
        var engine = CreateTestProbe();
        session = SessionId.New();
        _coordinator.Tell(new EngineProtocol.OpenSession(session, "e", "test"), engine);
        engine.ExpectMsg<EngineProtocol.SessionOpened>();
        _coordinator.Tell(new EngineProtocol.OpenPool(session, new RequestId(1), default, TestPools.Spec("a", TestPools.Gpus(1))), engine);
        return engine;
    }
}
