using System.Collections.Immutable;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>A pool outlives a scheduler that died without closing it, for a while, and passes to the next one with all that is mapped.</summary>
public class OrphanSpecs
{
    [Fact]
    public void Next_scheduler_should_take_the_pool_over_with_everything_mapped()
    {
        var domain = new SimulatedDomain(2);
        var (pool, held) = Orphan(domain);
        Assert.Equal("orphaned", domain.Coordinator.Describe().Pools.Single().State);
        var next = domain.AddEngine("a2");

        var opened = Open(domain, next, TestPools.Spec("a", TestPools.Gpus(2)));

        Assert.Equal(pool, opened.Pool);
        Assert.True(opened.Extents.ToHashSet().SetEquals(held));
        Assert.All(domain.Ranks, r => Assert.Equal(next.Session, r.Pools[pool].Replica.Owner));
        Assert.Equal("ready", domain.Coordinator.Describe().Pools.Single().State);
        var grown = next.Grow(pool, 3);
        next.Free(pool, held[0]);
        domain.Advance(0.1);
        Assert.Equal(3, next.GrantOf(grown).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Scheduler_whose_process_has_died_should_lose_its_pools_at_once_and_its_successor_get_them()
    {
        var domain = new SimulatedDomain(2);
        var engine = domain.AddEngine("a");
        var opened = Open(domain, engine, TestPools.Spec("a", TestPools.Gpus(2)));

        domain.FromEngine(engine, new EngineProtocol.SessionDied(engine.Session));
        domain.FromEngine(engine, new EngineProtocol.SessionDied(SessionId.New()));
        domain.Settle();

        Assert.Equal("orphaned", domain.Coordinator.Describe().Pools.Single().State);
        Assert.Equal(opened.Pool, Open(domain, domain.AddEngine("a2"), TestPools.Spec("a", TestPools.Gpus(2))).Pool);
    }

    [Fact]
    public void Pool_that_nobody_takes_over_should_be_closed_after_its_window()
    {
        var domain = new SimulatedDomain(2);
        Orphan(domain);

        domain.Advance(59, coarse: true);
        Assert.Single(domain.Coordinator.Describe().Pools);
        domain.Advance(2, coarse: true);

        Assert.Empty(domain.Coordinator.Describe().Pools);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Another_shape_or_user_should_be_refused_with_the_reason_and_leave_the_orphan()
    {
        var domain = new SimulatedDomain(2);
        Orphan(domain);
        var next = domain.AddEngine("a2");
        var spec = TestPools.Spec("a", TestPools.Gpus(2));

        foreach (var other in (ImmutableArray<PoolSpec>)[TestPools.Spec("a", TestPools.Gpus(2), 128), spec with { OwnerUserId = 1 }, spec with { LimitBytes = 8 * TestPools.PageBytes }])
        {
            var request = next.Open(other);
            domain.Settle();
            Assert.Equal(RefusalReason.NameInUse, next.RefusalOf(request).Reason);
            Assert.Contains("lost its engine", next.RefusalOf(request).Detail);
        }

        Assert.NotEmpty(Open(domain, next, spec).Extents);
    }

    [Fact]
    public void Pool_should_not_be_handed_over_before_all_its_ranks_know_the_new_owner()
    {
        var domain = new SimulatedDomain(2);
        var (pool, held) = Orphan(domain);
        var next = domain.AddEngine("a2");
        domain.ToRank(1).IsHeld = true;

        var request = next.Open(TestPools.Spec("a", TestPools.Gpus(2)));
        domain.Advance(5);
        Assert.DoesNotContain(request, next.Answers.Keys);
        domain.TakeOver();
        domain.ToRank(1).IsHeld = false;
        domain.Advance(8);

        var opened = Assert.IsType<EngineProtocol.PoolOpened>(next.Answers[request]);
        Assert.Equal(pool, opened.Pool);
        Assert.True(opened.Extents.ToHashSet().SetEquals(held));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Take_over_that_ranks_do_not_hear_of_should_be_refused_in_time_and_leave_the_orphan()
    {
        var domain = new SimulatedDomain(2);
        Orphan(domain);
        var next = domain.AddEngine("a2");
        domain.ToRank(1).IsHeld = true;
        var request = next.Open(TestPools.Spec("a", TestPools.Gpus(2)));

        domain.Advance(31);
        Assert.Equal(RefusalReason.DeadlineExceeded, next.RefusalOf(request).Reason);
        domain.ToRank(1).IsHeld = false;

        Assert.NotEmpty(Open(domain, next, TestPools.Spec("a", TestPools.Gpus(2))).Extents);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Session_that_comes_back_should_not_own_the_pool_any_more()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");
        engine.Renews = false;
        domain.Advance(15.1, coarse: true);

        engine.Connect();
        var request = engine.Grow(pool, 1);
        domain.Settle();

        Assert.Equal(RefusalReason.UnknownSession, Assert.Single(engine.Events.OfType<EngineProtocol.SessionRefused>()).Refusal.Reason);
        Assert.Equal(RefusalReason.UnknownSession, engine.RefusalOf(request).Reason);
        Assert.Contains(pool, engine.Withdrawn.Keys);
    }

    [Fact]
    public void Map_under_way_when_the_session_ends_should_be_the_next_schedulers()
    {
        var domain = new SimulatedDomain(2, settings: new CoordinatorSettings { Domain = SimulatedDomain.Name, DecisionDeadline = TimeSpan.FromSeconds(30) });
        var (engine, pool) = domain.AddPool("a");
        engine.Renews = false;
        domain.Advance(14.5);
        domain.ToRank(1).IsHeld = true;
        engine.Grow(pool, 4, deadlineSeconds: 60);
        domain.Advance(3);
        var next = domain.AddEngine("a2");
        var request = next.Open(TestPools.Spec("a", TestPools.Gpus(2)));
        domain.Settle();
        Assert.DoesNotContain(request, next.Answers.Keys);

        domain.ToRank(1).IsHeld = false;
        domain.Advance(3);

        Assert.Equal(4, Assert.IsType<EngineProtocol.PoolOpened>(next.Answers[request]).Extents.Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Memory_of_an_orphan_should_not_be_asked_back()
    {
        var domain = new SimulatedDomain(1, capacityPages: 16);
        var (engine, pool) = domain.AddPool("a", 64);
        var grant = engine.Grow(pool, 12);
        domain.Settle();
        engine.ReportWarm(pool, 9, engine.GrantOf(grant));
        engine.Renews = false;
        domain.Advance(15.1, coarse: true);
        var (other, theirs) = domain.AddPool("b", 64);

        var refused = other.Grow(theirs, 8, deadlineSeconds: 1);
        domain.Advance(1.5);

        Assert.Equal(RefusalReason.OutOfMemory, other.RefusalOf(refused).Reason);
        Assert.Equal(0, domain.Coordinator.Describe().Counters.Revokes);
        Assert.Equal(12 * TestPools.PageBytes, domain.Ranks[0].MappedBytes - domain.Ranks[0].Pools[theirs].Bytes(domain.Ranks[0].Pools[theirs].Mapped));
    }

    /// <summary>An engine with a pool 'a' over all ranks and 6 pages, whose lease has ended.</summary>
    private static (PoolId Pool, ImmutableArray<Extent> Held) Orphan(SimulatedDomain domain)
    {
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 6);
        domain.Settle();
        engine.Renews = false;
        domain.Advance(15.1, coarse: true);
        return (pool, engine.GrantOf(grant));
    }

    private static EngineProtocol.PoolOpened Open(SimulatedDomain domain, SimulatedEngine engine, PoolSpec spec)
    {
        var request = engine.Open(spec);
        domain.Advance(3);
        return Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[request]);
    }
}
