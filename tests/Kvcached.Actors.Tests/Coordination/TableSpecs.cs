using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Ranks that disagree, ranks that are gone, and coordinators that are no longer followed.</summary>
public class TableSpecs
{
    [Fact]
    public void Digest_mismatch_should_stop_the_pool_and_install_its_table_anew()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var kept = engine.Grow(pool, 4);
        domain.Settle();
        domain.Ranks[1].ShowsWrongDigests = 1;

        var refused = engine.Grow(pool, 4);
        domain.Settle();

        Assert.Equal(RefusalReason.PoolStopped, engine.RefusalOf(refused).Reason);
        Assert.Equal(1, domain.Coordinator.Describe().Counters.DigestMismatches);
        Assert.All(domain.Ranks, r => Assert.True(r.Pools[pool].Mapped.SetEquals(engine.GrantOf(kept))));
        QuietRules.CheckQuiet(domain);
        var granted = engine.Grow(pool, 4);
        domain.Settle();
        Assert.Equal(4, engine.GrantOf(granted).Sum(e => e.PageCount));
    }

    [Fact]
    public void Stopped_pool_should_grant_nothing_until_every_rank_has_its_table()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.Ranks[1].ShowsWrongDigests = 1;
        domain.ToRank(0).Loses = m => m is SimulatedDomain.Mail { Message: RankProtocol.InstallTable };
        engine.Grow(pool, 4);
        domain.Settle();

        var waiting = engine.Grow(pool, 2);
        domain.Settle();
        Assert.DoesNotContain(waiting, engine.Answers.Keys);
        Assert.Equal("stopped", domain.Coordinator.Describe().Pools[0].State);

        domain.ToRank(0).Loses = null;
        domain.Advance(1.1);
        Assert.Equal(2, engine.GrantOf(waiting).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Rank_that_can_not_take_its_table_should_cost_the_pool_its_memory_and_be_announced()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 4);
        domain.Settle();
        domain.Ranks[1].ShowsWrongDigests = 2;

        engine.Grow(pool, 4);
        domain.Settle();

        Assert.Equal(RefusalReason.PoolLost, engine.Withdrawn[pool].Reason);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Coordinator_should_step_down_when_a_rank_follows_a_newer_epoch()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var newer = new Epoch(9, 9);
        domain.Ranks[1].Handle(new RankProtocol.ReportRank(newer));

        engine.Grow(pool, 4);
        domain.Settle();

        Assert.Equal(newer, domain.SteppedDownFor);
        Assert.Equal(0, domain.Ranks[1].MappedBytes);
    }

    [Fact]
    public void Coordinator_should_step_down_when_a_rank_registers_with_a_newer_epoch_or_refuses_to_open()
    {
        var domain = new SimulatedDomain(1);
        domain.Ranks[0].Handle(new RankProtocol.ReportRank(new Epoch(9, 9)));
        domain.Register(domain.Ranks[0]);
        domain.Settle();
        Assert.Equal(new Epoch(9, 9), domain.SteppedDownFor);

        var second = new SimulatedDomain(1);
        var engine = second.AddEngine("a");
        second.Ranks[0].Handle(new RankProtocol.ReportRank(new Epoch(9, 9)));
        engine.Open(TestPools.Spec("a", TestPools.Gpus(1)));
        second.Settle();
        Assert.Equal(new Epoch(9, 9), second.SteppedDownFor);
        Assert.Empty(engine.Answers);
    }

    [Fact]
    public void Refusal_of_a_predecessors_decision_should_not_pass_for_an_answer_to_ours()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");
        domain.ToRank(0).IsHeld = true;
        var request = engine.Grow(pool, 1);
        domain.Settle();

        domain.Coordinator.Decided(domain.Now, new DecisionAnswer(
            pool, domain.Coordinator.Epoch, 1, 0, domain.Ranks[0].Gpu, domain.Ranks[0].Incarnation, DecisionOutcome.StaleEpoch, default, null, [], 0));
        domain.Settle();

        Assert.DoesNotContain(request, engine.Answers.Keys);
        Assert.Null(domain.SteppedDownFor);
    }

    [Fact]
    public void Answer_of_another_life_of_a_host_should_not_count()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");
        domain.ToRank(0).IsHeld = true;
        var request = engine.Grow(pool, 1);
        domain.Settle();
        var decision = domain.ToRank(0).Sent.OfType<SimulatedDomain.Mail>().Select(m => m.Message).OfType<RankProtocol.Decide>().Single().Decision;
        var expected = Core.Paging.LayoutDigest.Empty.With(decision.Extents[0]);

        domain.Coordinator.Decided(domain.Now, new DecisionAnswer(
            pool, decision.Epoch, 1, 1, domain.Ranks[0].Gpu, new HostIncarnation(77), DecisionOutcome.Applied, expected, null, [], 0));
        domain.Settle();

        Assert.DoesNotContain(request, engine.Answers.Keys);
    }

    [Fact]
    public void Lost_rank_should_withdraw_its_pools_and_release_their_memory_elsewhere()
    {
        var domain = new SimulatedDomain(3);
        var (engine, pool) = domain.AddPool("a", 256, 0, 0, 0, 1);
        var (other, theirs) = domain.AddPool("b", 256, 0, 0, 1, 2);
        var (spared, mine) = domain.AddPool("c", 256, 0, 0, 1);
        engine.Grow(pool, 4);
        other.Grow(theirs, 4);
        var kept = spared.Grow(mine, 4);
        domain.Settle();

        domain.RestartRank(0);
        domain.Settle();

        Assert.Equal(RefusalReason.PoolLost, engine.Withdrawn[pool].Reason);
        Assert.Empty(other.Withdrawn);
        Assert.DoesNotContain(pool, domain.Ranks[1].Pools.Keys);
        Assert.True(domain.Ranks[1].Pools[mine].Mapped.SetEquals(spared.GrantOf(kept)));
        QuietRules.CheckQuiet(domain);
        var reopened = engine.Open(TestPools.Spec("a", TestPools.Gpus(2)));
        domain.Settle();
        Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[reopened]);
    }

    [Fact]
    public void Lost_rank_should_answer_what_waits()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.ToRank(1).IsHeld = true;
        var inFlight = engine.Grow(pool, 4);
        var queued = engine.Grow(pool, 4);
        domain.Settle();

        domain.ToRank(1).IsHeld = false;
        domain.RestartRank(1);
        domain.Settle();

        Assert.Equal(RefusalReason.PoolLost, engine.RefusalOf(inFlight).Reason);
        Assert.Equal(RefusalReason.PoolLost, engine.RefusalOf(queued).Reason);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Unreachable_rank_should_refuse_grants_until_it_is_back()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.Coordinator.RankReachable(domain.Now, domain.Ranks[1].Gpu, domain.Ranks[1].Incarnation, false);

        var refused = engine.Grow(pool, 4);
        domain.Settle();
        Assert.Equal(RefusalReason.RankUnavailable, engine.RefusalOf(refused).Reason);

        domain.Coordinator.RankReachable(domain.Now, domain.Ranks[1].Gpu, domain.Ranks[1].Incarnation, true);
        var granted = engine.Grow(pool, 4);
        domain.Settle();
        Assert.Equal(4, engine.GrantOf(granted).Sum(e => e.PageCount));
    }

    [Fact]
    public void Registration_for_another_domain_should_be_refused_and_change_nothing()
    {
        var domain = new SimulatedDomain(1);
        var foreign = new SimulatedRank(TestPools.Gpu(0), 1 << 20) { Domain = "other" };

        Assert.Equal(RefusalReason.UnknownDomain, domain.Coordinator.FindRegistrationProblem(foreign.Registration)!.Reason);
        Assert.NotNull(domain.Coordinator.FindRegistrationProblem(domain.Ranks[0].Registration with { CapacityBytes = 0 }));
        Assert.NotNull(domain.Coordinator.FindRegistrationProblem(domain.Ranks[0].Registration with { GranularityBytes = -1 }));
        Assert.Null(domain.Coordinator.FindRegistrationProblem(domain.Ranks[0].Registration));
    }
}
