using Kvcached.Actors.Coordination;
using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Pools that open, don't open, and close; and sessions that end.</summary>
public class PoolSpecs
{
    public static TheoryData<string, PoolSpec, RefusalReason> BadSpecs
    {
        get
        {
            var sound = TestPools.Spec("a", TestPools.Gpus(2));
            var geometry = sound.Geometry;
            return new TheoryData<string, PoolSpec, RefusalReason>
            {
                { "no name", sound with { Name = "" }, RefusalReason.BadGeometry },
                { "null name", sound with { Name = null! }, RefusalReason.BadGeometry },
                { "name with a slash", sound with { Name = "a/b" }, RefusalReason.BadGeometry },
                { "long name", sound with { Name = new string('a', 65) }, RefusalReason.BadGeometry },
                { "no geometry", sound with { Geometry = null! }, RefusalReason.BadGeometry },
                { "no ranks", sound with { Geometry = geometry with { Ranks = [] } }, RefusalReason.BadGeometry },
                { "default ranks", sound with { Geometry = geometry with { Ranks = default } }, RefusalReason.BadGeometry },
                { "null rank", sound with { Geometry = geometry with { Ranks = [null!] } }, RefusalReason.UnknownGpu },
                { "unknown gpu", TestPools.Spec("a", TestPools.Gpus(3)), RefusalReason.UnknownGpu },
                { "gpu named twice", TestPools.Spec("a", [TestPools.Gpu(0), TestPools.Gpu(0)]), RefusalReason.BadGeometry },
                { "no such user", sound with { OwnerUserId = -2 }, RefusalReason.NotAllowed },
                { "no such target", sound with { Target = (PoolTarget)99 }, RefusalReason.NotSupported },
                { "negative limit", sound with { LimitBytes = -1 }, RefusalReason.BadLimit },
                { "negative floor", sound with { FloorBytes = long.MinValue }, RefusalReason.BadLimit },
                { "floor above limit", sound with { LimitBytes = 4096, FloorBytes = 8192 }, RefusalReason.BadLimit },
                { "weight 0", sound with { Weight = 0 }, RefusalReason.BadLimit },
                { "huge weight", sound with { Weight = int.MaxValue }, RefusalReason.BadLimit },
                { "floor above the gpu", sound with { FloorBytes = long.MaxValue }, RefusalReason.FloorDoesNotFit },
                { "negative pages", sound with { Geometry = geometry with { VirtualPageCounts = [-1] } }, RefusalReason.BadGeometry },
                { "huge pages", sound with { Geometry = geometry with { VirtualPageCounts = [int.MaxValue] } }, RefusalReason.BadGeometry },
                { "no groups", sound with { Geometry = geometry with { VirtualPageCounts = [] } }, RefusalReason.BadGeometry },
                { "page no multiple of the granularity", Of(TestPools.Rank(TestPools.Gpu(0), 1, 6144)), RefusalReason.BadGeometry },
                { "ranks disagree", Of(TestPools.Rank(TestPools.Gpu(0)), TestPools.Rank(TestPools.Gpu(1), 1, 8192)), RefusalReason.BadGeometry },
                { "layers out of range", Of(TestPools.Rank(TestPools.Gpu(0), -3)), RefusalReason.BadGeometry },
                { "default groups", Of(new RankShape(TestPools.Gpu(0), default)), RefusalReason.BadGeometry },
                { "null group", Of(new RankShape(TestPools.Gpu(0), [null!])), RefusalReason.BadGeometry },
            };

            static PoolSpec Of(params ImmutableArray<RankShape> ranks) =>
                new("a", new PoolGeometry(KvLayout.Contiguous, 0, [256], ranks), PoolTarget.Host, 0, 0, 1);
        }
    }

    [Theory]
    [MemberData(nameof(BadSpecs))]
    public void Bad_spec_should_be_refused_with_nothing_opened(string what, PoolSpec spec, RefusalReason expected)
    {
        var domain = new SimulatedDomain(2);
        var engine = domain.AddEngine("a");

        var request = engine.Open(spec);
        domain.Settle();

        Assert.True(engine.RefusalOf(request).Reason == expected, $"{what}: {engine.RefusalOf(request)}");
        Assert.Empty(domain.Coordinator.Describe().Pools);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        QuietRules.CheckQuiet(domain);
        var sound = engine.Open(TestPools.Spec("a", TestPools.Gpus(2)));
        domain.Settle();
        Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[sound]);
    }

    [Fact]
    public void Floors_should_be_refused_when_they_no_longer_fit_on_one_gpu()
    {
        var domain = new SimulatedDomain(2, capacityPages: 16);
        domain.AddPool("b", 64, 0, floorPages: 10, 1);
        var engine = domain.AddEngine("a");

        var refused = engine.Open(TestPools.Spec("a", TestPools.Gpus(2), floorBytes: 8 * TestPools.PageBytes));
        domain.Settle();
        Assert.Equal(RefusalReason.FloorDoesNotFit, engine.RefusalOf(refused).Reason);

        var fits = engine.Open(TestPools.Spec("a", TestPools.Gpus(2), floorBytes: 6 * TestPools.PageBytes));
        domain.Settle();
        Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[fits]);
    }

    [Fact]
    public void Pool_should_not_eat_the_unused_floor_of_another()
    {
        var domain = new SimulatedDomain(1, capacityPages: 16);
        var (owner, floored) = domain.AddPool("b", 64, 0, floorPages: 10);
        var (engine, pool) = domain.AddPool("a");

        var refused = engine.Grow(pool, 7);
        var granted = engine.Grow(pool, 6);
        var theirs = owner.Grow(floored, 10);
        domain.Settle();

        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(refused).Reason);
        Assert.Equal(6, engine.GrantOf(granted).Sum(e => e.PageCount));
        Assert.Equal(10, owner.GrantOf(theirs).Sum(e => e.PageCount));
    }

    [Fact]
    public void Limit_should_hold_exactly()
    {
        var domain = new SimulatedDomain(2, capacityPages: 64);
        var (engine, pool) = domain.AddPool("a", 64, limitPages: 10);

        var granted = engine.Grow(pool, 10);
        var refused = engine.Grow(pool, 1);
        domain.Settle();

        Assert.Equal(10, engine.GrantOf(granted).Sum(e => e.PageCount));
        Assert.Equal(RefusalReason.LimitExceeded, engine.RefusalOf(refused).Reason);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Extents_should_take_at_most_their_share_of_the_limit()
    {
        var domain = new SimulatedDomain(1, capacityPages: 1024);
        var (engine, pool) = domain.AddPool("a", 1024, limitPages: 128);

        var granted = engine.Grow(pool, 64);
        domain.Settle();

        Assert.All(engine.GrantOf(granted), e => Assert.Equal(8, e.PageCount));
    }

    [Fact]
    public void Name_in_use_should_be_refused_to_another_engine_and_answered_to_its_owner()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");
        var other = domain.AddEngine("b");

        var refused = other.Open(TestPools.Spec("a", TestPools.Gpus(1)));
        var again = engine.Open(TestPools.Spec("a", TestPools.Gpus(1)));
        var otherShape = engine.Open(TestPools.Spec("a", TestPools.Gpus(1), virtualPages: 8));
        domain.Settle();

        Assert.Equal(RefusalReason.NameInUse, other.RefusalOf(refused).Reason);
        Assert.Equal(pool, Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[again]).Pool);
        Assert.Equal(RefusalReason.NameInUse, engine.RefusalOf(otherShape).Reason);
    }

    [Fact]
    public void Rank_that_refuses_to_open_should_leave_the_pool_nowhere()
    {
        var domain = new SimulatedDomain(3);
        var engine = domain.AddEngine("a");
        domain.Ranks[2].RefusesToOpen = new Refusal(RefusalReason.FloorDoesNotFit, "No.");

        var refused = engine.Open(TestPools.Spec("a", TestPools.Gpus(3)));
        domain.Settle();

        Assert.Equal(RefusalReason.FloorDoesNotFit, engine.RefusalOf(refused).Reason);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        Assert.Empty(domain.Coordinator.Describe().Pools);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Name_of_a_pool_that_one_rank_refused_should_be_free_when_its_engine_hears_of_it()
    {
        var domain = new SimulatedDomain(2);
        var engine = domain.AddEngine("a");
        domain.Ranks[1].RefusesToOpen = new Refusal(RefusalReason.DriverFailed, "No.");
        domain.FromRank(0).IsHeld = true;
        var refused = engine.Open(TestPools.Spec("a", TestPools.Gpus(2)));
        domain.Settle();
        Assert.Contains(engine.PendingRequests, request => request.Request == refused);

        domain.FromRank(0).IsHeld = false;
        domain.Settle();
        Assert.Equal(RefusalReason.DriverFailed, engine.RefusalOf(refused).Reason);
        domain.Ranks[1].RefusesToOpen = null;
        var opened = engine.Open(TestPools.Spec("a", TestPools.Gpus(2)));
        domain.Settle();

        Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[opened]);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Engine_should_not_wait_long_for_a_rank_that_does_not_release_what_another_refused_to_open()
    {
        var domain = new SimulatedDomain(2);
        var engine = domain.AddEngine("a");
        domain.Ranks[1].RefusesToOpen = new Refusal(RefusalReason.DriverFailed, "No.");
        domain.FromRank(0).IsHeld = true;

        var refused = engine.Open(TestPools.Spec("a", TestPools.Gpus(2)));
        domain.Advance(2.1);

        Assert.Equal(RefusalReason.DriverFailed, engine.RefusalOf(refused).Reason);
        domain.FromRank(0).IsHeld = false;
        domain.Advance(2.1);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
    }

    [Fact]
    public void Rank_that_does_not_open_in_time_should_cost_a_refusal_and_close_it_when_it_comes_to()
    {
        var domain = new SimulatedDomain(2);
        var engine = domain.AddEngine("a");
        domain.ToRank(1).IsHeld = true;

        var refused = engine.Open(TestPools.Spec("a", TestPools.Gpus(2)));
        domain.Advance(30.1);
        Assert.Equal(RefusalReason.DeadlineExceeded, engine.RefusalOf(refused).Reason);

        domain.ToRank(1).IsHeld = false;
        domain.Advance(1.1);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Open_that_arrives_after_its_pool_was_given_up_should_be_closed_again()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");
        engine.Close(pool);
        domain.Settle();
        var open = domain.ToRank(0).Sent.OfType<SimulatedDomain.Mail>().Single(m => m.Message is RankProtocol.OpenRankPool);

        domain.ToRank(0).Send(open);
        domain.Settle();

        Assert.Empty(domain.Ranks[0].Pools);
    }

    [Fact]
    public void Closed_pool_should_return_everything_and_answer_what_waits()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 8);
        domain.Settle();
        domain.ToRank(1).IsHeld = true;
        var inFlight = engine.Grow(pool, 4);
        var closing = engine.Close(pool);
        domain.Settle();
        var late = engine.Grow(pool, 1);
        domain.Settle();

        Assert.Equal(RefusalReason.UnknownPool, engine.RefusalOf(inFlight).Reason);
        Assert.Equal(RefusalReason.UnknownPool, engine.RefusalOf(late).Reason);
        Assert.DoesNotContain(closing, engine.Answers.Keys);
        domain.ToRank(1).IsHeld = false;
        domain.Settle();
        Assert.IsType<EngineProtocol.PoolClosed>(engine.Answers[closing]);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        Assert.All(domain.Coordinator.Describe().Gpus, g => Assert.Equal(g.CapacityBytes, g.FreeBytes));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Close_that_a_rank_does_not_ack_should_be_answered_and_finished_later()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.ToRank(1).IsHeld = true;

        var closing = engine.Close(pool);
        domain.Advance(30.1);
        Assert.Equal(RefusalReason.RankUnavailable, engine.RefusalOf(closing).Reason);

        domain.ToRank(1).IsHeld = false;
        domain.Advance(1.1);
        Assert.Empty(domain.Coordinator.Describe().Pools);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Session_that_is_not_renewed_should_end_with_its_pools_where_they_are_not_kept()
    {
        var domain = new SimulatedDomain(2, settings: new CoordinatorSettings { Domain = SimulatedDomain.Name, ReopenWindow = TimeSpan.Zero });
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 4);
        domain.Settle();
        engine.Renews = false;

        domain.Advance(15.1);

        Assert.Contains(pool, engine.Withdrawn.Keys);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        var refused = engine.Grow(pool, 1);
        domain.Settle();
        Assert.Equal(RefusalReason.UnknownSession, engine.RefusalOf(refused).Reason);
    }

    [Fact]
    public void Closed_session_should_return_the_memory_of_all_its_pools()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var (other, theirs) = domain.AddPool("b");
        engine.Grow(pool, 4);
        other.Grow(theirs, 4);
        domain.Settle();

        engine.CloseSession();
        domain.Settle();

        Assert.Contains(engine.Events, e => e is EngineProtocol.SessionClosed);
        Assert.Equal(theirs, Assert.Single(domain.Ranks[0].Pools).Key);
    }

    [Fact]
    public void Session_for_another_domain_or_without_a_name_should_be_refused()
    {
        var domain = new SimulatedDomain(1);
        var engine = domain.AddEngine("a");

        domain.FromEngine(engine, new EngineProtocol.OpenSession(engine.Session, "a", "elsewhere"));
        domain.FromEngine(engine, new EngineProtocol.OpenSession(engine.Session, " ", SimulatedDomain.Name));
        domain.FromEngine(engine, new EngineProtocol.OpenSession(engine.Session, new string('x', 65), SimulatedDomain.Name));
        domain.Settle();

        Assert.Equal(
            [RefusalReason.UnknownDomain, RefusalReason.UnknownSession, RefusalReason.UnknownSession],
            engine.Events.OfType<EngineProtocol.SessionRefused>().Select(r => r.Refusal.Reason));
    }

    [Fact]
    public void Engine_that_was_not_told_should_learn_of_its_pools_end_from_its_next_report()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");
        domain.ToEngine(engine).LosesNext = 1;
        domain.RestartRank(0);
        domain.Settle();
        Assert.Empty(engine.Withdrawn);

        engine.ReportWarm(pool, 1, []);
        domain.Settle();

        Assert.Contains(pool, engine.Withdrawn.Keys);
    }

    [Fact]
    public void Pipeline_stages_may_differ_in_layers()
    {
        var domain = new SimulatedDomain(2, capacityPages: 30);
        var engine = domain.AddEngine("a");
        var spec = TestPools.Spec("a", TestPools.Gpus(2)) with
        {
            Geometry = new PoolGeometry(KvLayout.Contiguous, 0, [64], [TestPools.Rank(TestPools.Gpu(0), 2), TestPools.Rank(TestPools.Gpu(1), 3)]),
        };
        engine.Open(spec);
        domain.Settle();
        var pool = domain.Coordinator.Describe().Pools[0].Pool;

        var tooMany = engine.Grow(pool, 11);
        var granted = engine.Grow(pool, 10);
        domain.Settle();

        Assert.Equal(RefusalReason.LimitExceeded, engine.RefusalOf(tooMany).Reason);
        Assert.Equal(10, engine.GrantOf(granted).Sum(e => e.PageCount));
        Assert.Equal(20 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        Assert.Equal(30 * TestPools.PageBytes, domain.Ranks[1].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_ids_should_not_repeat_over_coordinators()
    {
        var domain = new SimulatedDomain(1);
        var (first, pool) = domain.AddPool("a");
        first.Close(pool);
        domain.Settle();
        domain.TakeOver();
        domain.Settle();

        var (_, next) = domain.AddPool("b");

        Assert.NotEqual(pool, next);
        Assert.Equal(PoolId.Create(domain.Coordinator.Epoch.Counter, 1), next);
    }
}
