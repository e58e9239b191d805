using Akka.Actor;
using Akka.Event;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using static Kvcached.Actors.Tests.Ranks.RankRig;

namespace Kvcached.Actors.Tests.Ranks;

/// <summary>One page mapper is kept alive and made known.</summary>
public sealed class RankSupervisorSpecs : TestKit
{
    private static readonly TimeSpan Register = TimeSpan.FromMilliseconds(500);

    private readonly RankRig _rig = new();
    private readonly TestProbe _coordinator;
    private readonly TestProbe _barrier;
    private readonly IActorRef _supervisor;

    public RankSupervisorSpecs()
        : base("""akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit" """)
    {
        _coordinator = CreateTestProbe("coordinator");
        _barrier = CreateTestProbe("barrier");
        Sys.EventStream.Subscribe(_barrier, typeof(UnhandledMessage));
        _supervisor = Sys.ActorOf(RankSupervisor.Props(new RankSupervisorSettings
        {
            State = _rig.State,
            Holdings = _rig.Holdings,
            Coordinator = _coordinator,
            DataChecker = ActorRefs.Nobody,
            Domain = "test",
            DeviceName = "main memory",
            MapperDispatcher = "akka.actor.default-dispatcher",
            RegisterInterval = Register,
            HousekeepingInterval = TimeSpan.FromHours(1),
            WorkerDeadline = TimeSpan.FromMilliseconds(500),
        }));
    }

    private TestScheduler Clock => (TestScheduler)Sys.Scheduler;

    [Fact]
    public void Supervisor_should_make_the_mapper_known_again_and_again()
    {
        var first = _coordinator.ExpectMsg<RankProtocol.RegisterRank>();
        Assert.Equal(_rig.Pages.Incarnation, first.Incarnation);
        Assert.Equal(RankRig.CapacityPages * TestPools.PageBytes, first.CapacityBytes);
        Assert.Equal("test", first.Domain);
        first.Mapper.Tell(new RankProtocol.ReportRank(Fifth), _coordinator);
        _coordinator.ExpectMsg<RankProtocol.RankReported>();

        Clock.Advance(Register);

        var again = _coordinator.ExpectMsg<RankProtocol.RegisterRank>();
        Assert.Equal(first.Mapper, again.Mapper);
        Assert.Equal(Fifth, again.HighestEpoch);
    }

    [Fact]
    public void Drained_rank_should_say_so_at_once_and_its_next_mapper_too()
    {
        var first = _coordinator.ExpectMsg<RankProtocol.RegisterRank>().Mapper;
        first.Tell(new RankProtocol.SetDraining(Fifth, true), _coordinator);
        Assert.True(_coordinator.ExpectMsg<RankProtocol.RegisterRank>().IsDraining);
        Fail(first);
        Clock.Advance(TimeSpan.FromMilliseconds(50));
        var again = _coordinator.ExpectMsg<RankProtocol.RegisterRank>();
        Assert.True(again.IsDraining);

        again.Mapper.Tell(new RankProtocol.ReportRank(Fifth), _coordinator);
        _coordinator.ExpectMsg<RankProtocol.RankReported>();
        again.Mapper.Tell(new RankProtocol.SetDraining(new Core.Ids.Epoch(4, 1), false), _coordinator);
        Assert.Equal(Fifth, _coordinator.ExpectMsg<RankProtocol.EpochRefused>().Current);
        Assert.True(_rig.State.IsDraining);
    }

    [Fact]
    public void Supervisor_should_start_a_mapper_that_failed_after_a_growing_pause_and_make_the_new_one_known()
    {
        var first = _coordinator.ExpectMsg<RankProtocol.RegisterRank>().Mapper;
        Fail(first);
        Clock.Advance(TimeSpan.FromMilliseconds(50));
        var second = _coordinator.ExpectMsg<RankProtocol.RegisterRank>().Mapper;
        Assert.NotEqual(first, second);

        Fail(second);
        Clock.Advance(TimeSpan.FromMilliseconds(19));
        Barrier();
        Assert.False(_coordinator.HasMessages);
        Clock.Advance(TimeSpan.FromMilliseconds(1));
        var third = _coordinator.ExpectMsg<RankProtocol.RegisterRank>().Mapper;
        Assert.NotEqual(second, third);
    }

    [Fact]
    public void Supervisor_should_replace_a_mapper_that_it_was_told_to_let_fail()
    {
        var first = _coordinator.ExpectMsg<RankProtocol.RegisterRank>().Mapper;
        EventFilter.Warning(contains: "a new one starts").ExpectOne(() => _supervisor.Tell(RankSupervisor.CrashMapper.Instance));
        Clock.Advance(TimeSpan.FromMilliseconds(50));
        Assert.NotEqual(first, NextMapper(first));
    }

    [Fact]
    public void Successor_should_carry_on_with_what_the_failed_mapper_knew()
    {
        var first = _coordinator.ExpectMsg<RankProtocol.RegisterRank>().Mapper;
        first.Tell(Open(PoolA), _coordinator);
        _coordinator.ExpectMsg<RankProtocol.RankPoolAnswer>();
        first.Tell(Map(PoolA, 1, Extent(0, 1, 1)), _coordinator);
        var answered = _coordinator.ExpectMsg<RankProtocol.Decided>().Answer;

        Fail(first);
        Clock.Advance(TimeSpan.FromMilliseconds(50));
        var second = _coordinator.ExpectMsg<RankProtocol.RegisterRank>().Mapper;
        second.Tell(new RankProtocol.ReportRank(Fifth), _coordinator);

        var pool = Assert.Single(_coordinator.ExpectMsg<RankProtocol.RankReported>().Pools);
        Assert.Equal((PoolA, 1L, 1u), (pool.Pool, pool.LastSeq, pool.HighestGeneration));
        Assert.Equal(Extent(0, 1, 1), Assert.Single(pool.Entries).Extent);
        second.Tell(Map(PoolA, 1, Extent(0, 1, 1)), _coordinator);
        Assert.Equal(answered.Digest, _coordinator.ExpectMsg<RankProtocol.Decided>().Answer.Digest);
    }

    [Fact]
    public void Mapper_that_ran_for_long_should_be_started_anew_without_a_long_pause()
    {
        var mapper = _coordinator.ExpectMsg<RankProtocol.RegisterRank>().Mapper;
        foreach (var pause in (int[])[50, 100, 200])
        {
            Fail(mapper);
            Clock.Advance(TimeSpan.FromMilliseconds(pause));
            mapper = NextMapper(mapper);
        }

        Clock.Advance(TimeSpan.FromSeconds(10));
        Barrier();
        Fail(mapper);
        Clock.Advance(TimeSpan.FromMilliseconds(50));

        Assert.NotEqual(mapper, NextMapper(mapper));
    }

    protected override void AfterAll()
    {
        base.AfterAll();
        _rig.Dispose();
    }

    private IActorRef NextMapper(IActorRef last) =>
        _coordinator.FishForMessage<RankProtocol.RegisterRank>(m => !m.Mapper.Equals(last)).Mapper;

    private void Fail(IActorRef mapper)
    {
        EventFilter.Warning(contains: "a new one starts").ExpectOne(() => mapper.Tell(Kill.Instance));
        Barrier();
    }

    /// <summary>Returns when the supervisor has handled all that it got.</summary>
    private void Barrier()
    {
        var mark = new object();
        _supervisor.Tell(mark);
        _barrier.FishForMessage<UnhandledMessage>(m => ReferenceEquals(m.Message, mark));
    }
}
