using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Pools whose pages workers map outlive a host that ends: it is awaited, and takes over what the workers have kept.</summary>
public class StrandingSpecs
{
    [Fact]
    public void Pool_should_wait_for_a_host_that_ended_and_go_on_with_all_that_is_mapped()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        var grant = engine.Grow(pool, 4);
        domain.Settle();

        domain.KillHost(1, isNoticed: true);
        domain.Advance(5);
        Assert.Equal("stranded", StateOf(domain, pool).State);
        domain.ReviveHost(1);
        domain.Advance(5);
        Assert.Equal("stranded", StateOf(domain, pool).State);
        domain.RecoverHost(1);
        domain.Settle();

        Assert.Equal("ready", StateOf(domain, pool).State);
        Assert.Empty(engine.Withdrawn);
        Assert.True(domain.Ranks[1].Pools[pool].Mapped.SetEquals(engine.GrantOf(grant)));
        var more = engine.Grow(pool, 2);
        domain.Settle();
        Assert.Equal(2, engine.GrantOf(more).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Refusals_and_descriptions_should_say_which_host_is_awaited_and_for_whom_it_waits()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        engine.Grow(pool, 4);
        domain.Settle();

        domain.KillHost(1, isNoticed: true);
        domain.Advance(4);
        AssertRefused($"the host of {TestPools.Gpu(1)} ended 4 s ago; its workers keep the memory, and it is awaited for 56 s more");
        domain.ReviveHost(1);
        domain.Settle();
        AssertRefused("waits for the workers");

        void AssertRefused(string why)
        {
            var refused = engine.Grow(pool, 1);
            domain.Settle();
            Assert.Equal(RefusalReason.RankUnavailable, engine.RefusalOf(refused).Reason);
            Assert.Contains(why, engine.RefusalOf(refused).Detail, StringComparison.Ordinal);
            Assert.Contains(why, StateOf(domain, pool).Awaited, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Recovering_host_should_be_asked_nothing_and_lose_no_pool_however_long_it_takes()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        engine.Grow(pool, 4);
        domain.Settle();
        domain.KillHost(1, isNoticed: false);
        var before = domain.ToRank(1).Sent.Count;
        domain.ReviveHost(1);

        domain.Advance(300, coarse: true);
        Assert.Equal(before, domain.ToRank(1).Sent.Count);
        Assert.Empty(engine.Withdrawn);

        domain.RecoverHost(1);
        domain.Settle();
        Assert.Equal("ready", StateOf(domain, pool).State);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Map_in_flight_should_be_refused_once_and_leave_every_rank_when_the_host_is_back()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        domain.FromRank(1).IsHeld = true;
        var request = engine.Grow(pool, 3);
        domain.Settle();
        Assert.Equal(3 * TestPools.PageBytes, domain.Ranks[1].MappedBytes);

        domain.KillHost(1, isNoticed: true);
        domain.Settle();
        Assert.Equal(RefusalReason.RankUnavailable, engine.RefusalOf(request).Reason);
        domain.FromEngine(engine, domain.FromEngine(engine).Sent.OfType<EngineProtocol.AllocatePages>().Last());
        domain.FromRank(1).IsHeld = false;
        Return(domain, 1);

        Assert.All(domain.Ranks, r => Assert.Equal(0, r.MappedBytes));
        Assert.Equal(RefusalReason.RankUnavailable, engine.RefusalOf(request).Reason);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Returns_should_be_taken_while_the_host_is_away_and_carried_out_when_it_is_back()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        var grant = engine.Grow(pool, 4);
        domain.Settle();
        domain.KillHost(1, isNoticed: true);

        var freed = engine.Free(pool, engine.GrantOf(grant));
        domain.Advance(11);
        Assert.IsType<EngineProtocol.ExtentsFreed>(engine.Answers[freed]);
        Assert.Equal(4 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);

        Return(domain, 1);
        Assert.All(domain.Ranks, r => Assert.Equal(0, r.MappedBytes));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Extents_that_the_worker_still_had_to_unmap_should_be_in_nobodys_way_until_it_has()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        var grant = engine.Grow(pool, 4);
        domain.Settle();
        domain.Ranks[1].SticksOn = 100;
        domain.Ranks[1].StaysStuck = true;
        engine.Free(pool, engine.GrantOf(grant));
        domain.Settle();
        domain.KillHost(1, isNoticed: true);
        Return(domain, 1);
        Assert.Equal(4 * TestPools.PageBytes, domain.Coordinator.Describe().Gpus[1].QuarantinedBytes);
        Assert.Equal("ready", StateOf(domain, pool).State);

        domain.Ranks[1].SticksOn = 0;
        domain.Ranks[1].StaysStuck = false;
        domain.Advance(2);
        Assert.Equal(0, domain.Coordinator.Describe().Gpus[1].QuarantinedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_should_wait_for_all_hosts_that_ended()
    {
        var domain = new SimulatedDomain(3);
        var (engine, pool) = domain.AddWorkerPool();
        engine.Grow(pool, 4);
        domain.Settle();
        domain.KillHost(0, isNoticed: true);
        domain.KillHost(2, isNoticed: true);

        Return(domain, 2);
        Assert.Equal("stranded", StateOf(domain, pool).State);
        Return(domain, 0);
        Assert.Equal("ready", StateOf(domain, pool).State);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void New_coordinator_should_wait_for_a_host_that_takes_over_what_workers_have_kept()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        var grant = engine.Grow(pool, 4);
        domain.Settle();
        domain.KillHost(1, isNoticed: false);
        domain.TakeOver();
        domain.ReviveHost(1);
        domain.Advance(100, coarse: true);
        Assert.Equal("recovering", StateOf(domain, pool).State);
        Assert.Contains("waits for the workers", StateOf(domain, pool).Awaited, StringComparison.Ordinal);
        Assert.Empty(engine.Withdrawn);

        domain.RecoverHost(1);
        domain.Advance(3);
        Assert.Equal("ready", StateOf(domain, pool).State);
        Assert.True(engine.Held[pool].SetEquals(engine.GrantOf(grant)));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Engine_of_a_pool_that_only_a_recovering_host_knows_should_be_told_nothing_about_it()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddWorkerPool();
        engine.Grow(pool, 4);
        domain.Settle();
        domain.KillHost(0, isNoticed: false);
        domain.TakeOver();
        domain.ReviveHost(0);

        var request = engine.Grow(pool, 1);
        domain.Advance(60, coarse: true);
        Assert.DoesNotContain(request, engine.Answers.Keys);
        Assert.Empty(engine.Withdrawn);

        domain.RecoverHost(0);
        domain.Advance(5);
        Assert.Equal(1, engine.GrantOf(request).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Request_that_some_rank_remembers_should_be_answered_from_what_is_mapped()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        domain.ToEngine(engine).Loses = m => m is EngineProtocol.PagesAllocated;
        var request = engine.Grow(pool, 5);
        domain.Settle();
        domain.ToEngine(engine).Loses = null;
        domain.KillHost(0, isNoticed: false);
        domain.TakeOver();
        Return(domain, 0);

        domain.Advance(3);

        Assert.True(engine.GrantOf(request).ToHashSet().SetEquals(domain.Ranks[1].Pools[pool].Mapped));
        Assert.Equal(0, domain.Coordinator.Describe().Counters.Maps);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_whose_pages_the_hosts_map_should_be_withdrawn_with_its_host()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 4);
        domain.Settle();

        domain.KillHost(1, isNoticed: true);
        domain.Settle();

        Assert.Equal(RefusalReason.PoolLost, engine.Withdrawn[pool].Reason);
        Assert.Empty(domain.Ranks[0].Pools);
    }

    [Fact]
    public void Scheduler_that_opens_a_stranded_pool_should_be_told_what_it_waits_for()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        engine.Grow(pool, 4);
        domain.Settle();
        domain.KillHost(1, isNoticed: true);
        engine.Restart();
        domain.Advance(16);

        var early = engine.Open(TestPools.WorkerSpec("w", TestPools.Gpus(2)));
        domain.Settle();
        Assert.Equal(RefusalReason.RankUnavailable, engine.RefusalOf(early).Reason);
        Return(domain, 1);
        var again = engine.Open(TestPools.WorkerSpec("w", TestPools.Gpus(2)));
        domain.Settle();

        var opened = Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[again]);
        Assert.Equal((pool, 4), (opened.Pool, opened.Extents.Sum(e => e.PageCount)));
        QuietRules.CheckQuiet(domain);
    }

    private static void Return(SimulatedDomain domain, int rank)
    {
        domain.ReviveHost(rank);
        domain.Settle();
        domain.RecoverHost(rank);
        domain.Settle();
    }

    private static DomainProtocol.PoolDescription StateOf(SimulatedDomain domain, PoolId pool) =>
        domain.Coordinator.Describe().Pools.Single(p => p.Pool == pool);
}
