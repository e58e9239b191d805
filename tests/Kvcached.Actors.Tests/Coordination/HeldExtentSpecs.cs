using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>A coordinator answers an engine, and moves before its ranks have done what it said: nothing may stay mapped that the engine doesn't know.</summary>
public class HeldExtentSpecs
{
    [Fact]
    public void Map_that_was_refused_but_not_undone_should_be_unmapped_by_the_next_coordinator()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var kept = engine.Grow(pool, 2);
        domain.Settle();
        LoseFromRanks(domain, m => m is RankProtocol.Decided);
        LoseToRanks(domain, m => m is RankProtocol.Decide { Decision.Kind: DecisionKind.Abort });
        var request = engine.Grow(pool, 5, deadlineSeconds: 1);
        domain.Advance(1.5);
        Assert.Equal(RefusalReason.DeadlineExceeded, engine.RefusalOf(request).Reason);
        Assert.Equal(7 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);

        domain.Heal();
        domain.TakeOver();
        domain.Advance(1);

        Assert.All(domain.Ranks, r => Assert.True(r.Pools[pool].Mapped.SetEquals(engine.GrantOf(kept))));
        QuietRules.CheckQuiet(domain);
        QuietRules.CheckConfirmed(domain);
    }

    [Fact]
    public void Return_that_was_answered_before_its_turn_should_be_carried_out_by_the_next_coordinator()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var first = engine.Grow(pool, 2);
        var second = engine.Grow(pool, 3);
        domain.Settle();
        LoseToRanks(domain, m => m is RankProtocol.Decide or RankProtocol.InstallTable);
        engine.Free(pool, engine.GrantOf(first));
        var freed = engine.Free(pool, engine.GrantOf(second));
        domain.Advance(12);
        Assert.IsType<EngineProtocol.ExtentsFreed>(engine.Answers[freed]);
        Assert.Equal(5 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);

        domain.Heal();
        domain.TakeOver();
        domain.Advance(1);

        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools[pool].Mapped));
        Assert.Equal(EngineStep.Sync, domain.Ranks[0].Pools[pool].Replica.Fence);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Grant_to_a_copy_of_an_old_request_should_be_undone_when_its_answer_is_lost()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 3);
        domain.Settle();
        var copy = domain.FromEngine(engine).Sent.OfType<EngineProtocol.AllocatePages>().Single();
        engine.Free(pool, engine.GrantOf(grant));
        domain.Settle();
        domain.TakeOver();
        domain.Settle();

        domain.ToEngine(engine).Loses = m => m is EngineProtocol.PagesAllocated;
        domain.FromEngine(engine, copy);
        domain.Settle();
        Assert.Equal(3 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        domain.Advance(3);

        Assert.Equal(0, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Question_and_answer_that_are_lost_should_be_asked_again()
    {
        var (domain, engine, pool) = WithRefusedMap();
        var losses = 0;
        domain.ToEngine(engine).Loses = m => m is EngineProtocol.CheckExtents && losses++ < 1;
        domain.FromEngine(engine).Loses = m => m is EngineProtocol.ExtentsChecked && losses++ < 3;

        domain.TakeOver();
        domain.Advance(5);

        Assert.True(losses >= 3);
        Assert.Empty(domain.Ranks[0].Pools[pool].Mapped);
        QuietRules.CheckQuiet(domain);
        QuietRules.CheckConfirmed(domain);
    }

    [Fact]
    public void Grant_that_an_engine_still_waits_for_should_stay()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.ToEngine(engine).Loses = m => m is EngineProtocol.PagesAllocated;
        var request = engine.Grow(pool, 5, deadlineSeconds: 60);
        domain.Settle();

        domain.TakeOver();
        domain.Advance(5);
        Assert.Equal(5 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        Assert.NotEqual(0, domain.Coordinator.UnconfirmedCount);

        domain.ToEngine(engine).Loses = null;
        domain.Advance(4);
        Assert.Equal(5, engine.GrantOf(request).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
        QuietRules.CheckConfirmed(domain);
    }

    [Fact]
    public void Answer_should_free_nothing_that_was_not_asked_about()
    {
        var (domain, engine, pool) = WithRefusedMap();
        var mine = engine.Held[pool];
        domain.TakeOver();
        domain.Advance(3);
        var grant = engine.Grow(pool, 2);
        domain.Advance(2);
        var held = engine.GrantOf(grant);
        Assert.Equal(2, mine.Sum(e => e.PageCount));
        QuietRules.CheckConfirmed(domain);
        var stranger = domain.AddEngine("b");

        domain.FromEngine(engine, Answer(engine, domain.Coordinator.Epoch, [.. held, new Extent(9, new PageId(-4), 31, 7)]));
        domain.FromEngine(engine, new EngineProtocol.ExtentsChecked(engine.Session, pool, domain.Coordinator.Epoch, default, default));
        domain.TakeOver();
        domain.Settle();
        domain.FromEngine(stranger, Answer(stranger, domain.Coordinator.Epoch, [.. held]));
        domain.FromEngine(engine, Answer(engine, new Epoch(1, 1), [.. held]));
        domain.FromEngine(engine, Answer(engine, new Epoch(99, 1), [.. held]));
        domain.Advance(2);

        Assert.All(domain.Ranks, r => Assert.True(r.Pools[pool].Mapped.SetEquals(held)));
        QuietRules.CheckQuiet(domain);

        EngineProtocol.ExtentsChecked Answer(SimulatedEngine from, Epoch epoch, Extent[] unknown) => new(from.Session, pool, epoch, [], [.. unknown]);
    }

    [Fact]
    public void Pool_that_was_withdrawn_but_not_closed_should_be_closed_by_its_engine_after_the_coordinator_has_moved()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a", 256, 0, floorPages: 4);
        engine.Grow(pool, 5);
        domain.Settle();
        LoseToRanks(domain, m => m is RankProtocol.CloseRankPool);
        var closed = engine.Close(pool);
        domain.Advance(31);
        Assert.Equal(RefusalReason.RankUnavailable, engine.RefusalOf(closed).Reason);

        domain.Heal();
        domain.TakeOver();
        domain.Advance(2);

        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        Assert.Empty(domain.Coordinator.Describe().Pools);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_that_is_being_opened_when_the_coordinator_moves_should_be_had_by_its_engine()
    {
        var domain = new SimulatedDomain(2);
        var engine = domain.AddEngine("a");
        domain.ToEngine(engine).Loses = m => m is EngineProtocol.PoolOpened;
        var request = engine.Open(TestPools.Spec("a", TestPools.Gpus(2)));
        domain.Settle();

        domain.TakeOver();
        domain.Advance(4);
        Assert.Single(domain.Ranks[0].Pools);
        domain.Heal();
        domain.Advance(4);

        Assert.Contains(Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[request]).Pool, domain.Ranks[0].Pools.Keys);
        QuietRules.CheckQuiet(domain);
        QuietRules.CheckConfirmed(domain);
    }

    [Fact]
    public void Engine_should_not_be_asked_about_pools_that_no_other_coordinator_had()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 5);
        domain.Advance(5);

        Assert.DoesNotContain(engine.Events, e => e is EngineProtocol.CheckExtents);
    }

    /// <summary>A domain whose ranks hold five extents that the engine was refused.</summary>
    private static (SimulatedDomain Domain, SimulatedEngine Engine, PoolId Pool) WithRefusedMap()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        LoseFromRanks(domain, m => m is RankProtocol.Decided);
        LoseToRanks(domain, m => m is RankProtocol.Decide { Decision.Kind: DecisionKind.Abort });
        engine.Grow(pool, 5, deadlineSeconds: 1);
        domain.Advance(1.5);
        domain.Heal();
        Assert.Equal(5 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        return (domain, engine, pool);
    }

    private static void LoseToRanks(SimulatedDomain domain, Func<object, bool> loses)
    {
        for (var rank = 0; rank < domain.Ranks.Count; rank++)
        {
            domain.ToRank(rank).Loses = m => loses(((SimulatedDomain.Mail)m).Message);
        }
    }

    private static void LoseFromRanks(SimulatedDomain domain, Func<object, bool> loses)
    {
        for (var rank = 0; rank < domain.Ranks.Count; rank++)
        {
            domain.FromRank(rank).Loses = m => loses(((SimulatedDomain.Mail)m).Message);
        }
    }
}
