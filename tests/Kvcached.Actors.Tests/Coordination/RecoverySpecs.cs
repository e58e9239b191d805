using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>A new coordinator knows nothing but what the ranks tell it.</summary>
public class RecoverySpecs
{
    [Fact]
    public void New_coordinator_should_rebuild_its_tables_from_all_ranks()
    {
        var domain = new SimulatedDomain(3);
        var (engine, pool) = domain.AddPool("a", 256, 0, floorPages: 4);
        var (other, theirs) = domain.AddPool("b", 256, 0, 0, 1, 2);
        var grant = engine.Grow(pool, 7);
        other.Grow(theirs, 3);
        domain.Settle();

        domain.TakeOver();
        domain.Settle();

        QuietRules.CheckQuiet(domain);
        Assert.Equal(2, domain.Coordinator.Describe().Pools.Length);
        Assert.False(domain.Coordinator.Describe().IsRecovering);
        engine.Free(pool, engine.GrantOf(grant));
        var more = engine.Grow(pool, 2);
        domain.Advance(3);
        Assert.Equal(2, engine.GrantOf(more).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Nothing_should_be_granted_before_all_ranks_have_reported()
    {
        var domain = new SimulatedDomain(3);
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 4);
        domain.Settle();
        domain.FromRank(2).IsHeld = true;
        domain.TakeOver();
        domain.Settle();

        var request = engine.Grow(pool, 2, deadlineSeconds: 30);
        domain.Advance(5);
        Assert.DoesNotContain(request, engine.Answers.Keys);
        Assert.True(domain.Coordinator.Describe().IsRecovering);

        domain.FromRank(2).IsHeld = false;
        domain.Settle();
        Assert.Equal(2, engine.GrantOf(request).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Retry_of_a_grant_whose_answer_was_lost_should_be_answered_from_what_the_ranks_hold()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.ToEngine(engine).Loses = m => m is EngineProtocol.PagesAllocated;
        var request = engine.Grow(pool, 5);
        domain.Settle();
        var held = domain.Ranks[0].Pools[pool].Mapped.ToArray();
        domain.ToEngine(engine).Loses = null;

        domain.TakeOver();
        domain.Advance(3);

        Assert.True(engine.GrantOf(request).ToHashSet().SetEquals(held));
        Assert.Equal(0, domain.Coordinator.Describe().Counters.Maps);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Retry_that_comes_before_the_ranks_have_reported_should_not_be_granted_twice()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.ToEngine(engine).Loses = m => m is EngineProtocol.PagesAllocated;
        var request = engine.Grow(pool, 5, deadlineSeconds: 60);
        domain.Settle();
        domain.ToEngine(engine).Loses = null;
        domain.FromRank(1).IsHeld = true;
        domain.TakeOver();
        domain.Advance(5);

        domain.FromRank(1).IsHeld = false;
        domain.Settle();

        Assert.Equal(5 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        Assert.Equal(5, engine.GrantOf(request).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Grant_of_a_request_that_was_refused_meanwhile_should_be_undone()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.ToEngine(engine).Loses = m => m is EngineProtocol.PagesAllocated;
        var request = engine.Grow(pool, 5, deadlineSeconds: 1);
        domain.Settle();
        domain.ToEngine(engine).Loses = null;
        domain.FromRank(1).IsHeld = true;
        domain.TakeOver();
        domain.Advance(4);
        Assert.Equal(RefusalReason.Recovering, engine.RefusalOf(request).Reason);

        domain.FromRank(1).IsHeld = false;
        domain.Advance(1);

        Assert.Equal(0, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Grant_of_a_request_that_was_refused_while_tables_were_installed_should_be_undone()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.ToEngine(engine).Loses = m => m is EngineProtocol.PagesAllocated;
        var request = engine.Grow(pool, 5, deadlineSeconds: 1);
        domain.Settle();
        domain.ToEngine(engine).Loses = null;
        domain.ToRank(1).Loses = m => m is SimulatedDomain.Mail { Message: RankProtocol.InstallTable };
        domain.TakeOver();
        domain.Advance(4);
        Assert.Equal(RefusalReason.PoolStopped, engine.RefusalOf(request).Reason);

        domain.ToRank(1).Loses = null;
        domain.Advance(2);

        Assert.Equal(0, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void What_only_some_ranks_hold_should_be_rolled_back()
    {
        var domain = new SimulatedDomain(3);
        var (engine, pool) = domain.AddPool("a");
        var kept = engine.Grow(pool, 2);
        domain.Settle();
        domain.ToRank(2).Loses = m => m is SimulatedDomain.Mail { Message: RankProtocol.Decide };
        var request = engine.Grow(pool, 5, deadlineSeconds: 30);
        domain.Settle();
        Assert.Equal(7 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);

        domain.ToRank(2).Loses = null;
        domain.TakeOver();
        domain.Settle();
        Assert.All(domain.Ranks, r => Assert.True(r.Pools[pool].Mapped.SetEquals(engine.GrantOf(kept))));

        domain.Advance(3);
        Assert.Equal(5, engine.GrantOf(request).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Generations_should_never_be_given_twice()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var seen = new HashSet<uint>();
        for (var round = 0; round < 4; round++)
        {
            var request = engine.Grow(pool, 3);
            domain.Advance(3);
            Assert.All(engine.GrantOf(request), e => Assert.True(seen.Add(e.Generation)));
            engine.Free(pool, engine.GrantOf(request));
            domain.Settle();
            domain.TakeOver();
            domain.Settle();
        }
    }

    [Fact]
    public void Quarantine_should_outlive_the_coordinator()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a", virtualPages: 8);
        var grant = engine.Grow(pool, 8);
        domain.Settle();
        domain.Ranks[1].SticksOn = 100;
        domain.Ranks[1].StaysStuck = true;
        engine.Free(pool, engine.GrantOf(grant));
        domain.Settle();

        domain.TakeOver();
        domain.Advance(1);
        QuietRules.CheckQuiet(domain);
        Assert.Equal(8 * TestPools.PageBytes, domain.Coordinator.Describe().Gpus[1].QuarantinedBytes);
        var refused = engine.Grow(pool, 1);
        domain.Settle();
        Assert.Equal(RefusalReason.VirtualSpaceExhausted, engine.RefusalOf(refused).Reason);

        domain.Ranks[1].StaysStuck = false;
        domain.Advance(1.1);
        Assert.Equal(0, domain.Coordinator.Describe().Gpus[1].QuarantinedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Engine_should_not_be_told_that_its_session_or_pool_is_unknown_while_ranks_may_still_report_it()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 4);
        domain.Settle();
        domain.FromRank(0).IsHeld = true;
        domain.FromRank(1).IsHeld = true;
        domain.TakeOver();
        var freed = engine.Free(pool, engine.GrantOf(grant));
        var again = engine.Open(TestPools.Spec("a", TestPools.Gpus(2)));
        domain.Advance(5);
        Assert.Null(engine.Ended);
        Assert.DoesNotContain(freed, engine.Answers.Keys);

        domain.FromRank(0).IsHeld = false;
        domain.FromRank(1).IsHeld = false;
        domain.Advance(4);

        Assert.IsType<EngineProtocol.ExtentsFreed>(engine.Answers[freed]);
        Assert.Equal(pool, Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[again]).Pool);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_whose_rank_does_not_come_back_should_be_given_up()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 4);
        domain.Settle();
        domain.FromRank(1).IsHeld = true;
        domain.TakeOver();

        domain.Advance(61);
        Assert.Equal(RefusalReason.PoolLost, engine.Withdrawn[pool].Reason);
        Assert.Empty(domain.Ranks[0].Pools);

        domain.FromRank(1).IsHeld = false;
        domain.Advance(1);
        Assert.Empty(domain.Ranks[1].Pools);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_that_a_restarted_rank_no_longer_has_should_be_withdrawn()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 4);
        domain.Settle();

        domain.TakeOver();
        domain.Ranks[1].Restart();
        domain.Register(domain.Ranks[1]);
        domain.Advance(1);

        Assert.Equal(RefusalReason.PoolLost, engine.Withdrawn[pool].Reason);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
    }

    [Fact]
    public void Rank_lost_while_recovering_should_withdraw_what_it_had_reported()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 4);
        domain.Settle();
        domain.FromRank(1).IsHeld = true;
        domain.TakeOver();
        domain.Settle();

        domain.RestartRank(0);
        domain.FromRank(1).IsHeld = false;
        domain.Advance(1);

        Assert.Contains(pool, engine.Withdrawn.Keys);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Copy_of_an_old_request_that_a_new_coordinator_carries_out_should_come_to_nothing()
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

        domain.FromEngine(engine, copy);
        domain.Advance(3);

        Assert.Equal(0, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }
}
