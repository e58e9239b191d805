using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Worker pools of which memory is lost: announced, and unmapped only when their engine has closed them.</summary>
public class ResetSpecs
{
    [Fact]
    public void Pool_should_be_lost_when_its_host_comes_back_without_the_worker()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = Grown(domain);
        domain.KillHost(1, isNoticed: true);
        domain.Ranks[1].EndKeeper(pool);
        domain.ReviveHost(1);
        domain.Settle();

        Assert.Equal(RefusalReason.PoolLost, engine.Withdrawn[pool].Reason);
        Assert.Equal("lost", Assert.Single(domain.Coordinator.Describe().Pools).State);
        Assert.Equal(4 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);

        // Its steps have ended: the engine closes it, and may open its name anew.
        domain.Advance(1);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        var anew = engine.Open(TestPools.WorkerSpec("w", TestPools.Gpus(2)));
        domain.Settle();
        Assert.NotEqual(pool, Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[anew]).Pool);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_should_be_lost_when_its_host_does_not_come_back_in_time()
    {
        var domain = new SimulatedDomain(2, settings: new CoordinatorSettings { Domain = SimulatedDomain.Name, HostReturnWindow = TimeSpan.FromSeconds(10) });
        var (engine, pool) = Grown(domain);
        domain.KillHost(1, isNoticed: true);

        domain.Advance(9.5);
        Assert.Empty(engine.Withdrawn);
        domain.Advance(2);
        Assert.Equal(RefusalReason.PoolLost, engine.Withdrawn[pool].Reason);
        Assert.Contains("10 s", engine.Withdrawn[pool].Detail, StringComparison.Ordinal);
        Assert.Empty(domain.Ranks[0].Pools);

        // It is back after all: what its worker has kept goes, since its engine has said that no step uses it.
        domain.ReviveHost(1);
        domain.RecoverHost(1);
        domain.Advance(1);
        Assert.Empty(domain.Ranks[1].Pools);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Lost_pool_should_refuse_everything_but_being_closed()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = Lost(domain, out var extents);

        var grow = engine.Grow(pool, 1);
        domain.FromEngine(engine, new EngineProtocol.FreeExtents(engine.Session, new RequestId(90), default, pool, [.. extents], EngineStep.None));
        var open = engine.Open(TestPools.WorkerSpec("w", TestPools.Gpus(2)));
        domain.Settle();
        Assert.Equal(RefusalReason.PoolLost, engine.RefusalOf(grow).Reason);
        Assert.Contains(
            domain.ToEngine(engine).Sent, m => m is EngineProtocol.RequestRefused { Request.Value: 90, Refusal.Reason: RefusalReason.PoolLost });
        Assert.Equal(RefusalReason.NameInUse, engine.RefusalOf(open).Reason);
        Assert.Contains("Close it first", engine.RefusalOf(open).Detail, StringComparison.Ordinal);

        var close = engine.Close(pool);
        domain.Settle();
        Assert.IsType<EngineProtocol.PoolClosed>(engine.Answers[close]);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
    }

    [Fact]
    public void Engine_that_did_not_hear_of_the_loss_should_be_told_again()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = Grown(domain);
        domain.ToEngine(engine).LosesNext = 2;
        domain.KillHost(1, isNoticed: true);
        domain.Ranks[1].EndKeeper(pool);
        domain.ReviveHost(1);

        domain.Advance(5);

        Assert.Contains(pool, engine.Withdrawn.Keys);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
    }

    [Fact]
    public void What_is_left_should_be_quarantined_under_an_engine_that_is_never_quiet_until_its_workers_end()
    {
        var domain = new SimulatedDomain(2, settings: new CoordinatorSettings { Domain = SimulatedDomain.Name, QuiesceWindow = TimeSpan.FromSeconds(3) });
        var (_, pool) = Lost(domain, out _);

        domain.Advance(120, coarse: true);
        Assert.Equal(4 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        var gpu = domain.Coordinator.Describe().Gpus[0];
        Assert.Equal((0, 4 * TestPools.PageBytes), (gpu.UsedBytes, gpu.QuarantinedBytes));

        domain.SetWorker(0, pool, RankWorker.Gone);
        domain.Advance(2);
        Assert.Empty(domain.Ranks[0].Pools);
        Assert.Empty(domain.Coordinator.Describe().Pools);
        Assert.All(domain.Coordinator.Describe().Gpus, g => Assert.Equal(g.CapacityBytes, g.FreeBytes));
    }

    [Fact]
    public void Late_closing_should_still_count()
    {
        var domain = new SimulatedDomain(2, settings: new CoordinatorSettings { Domain = SimulatedDomain.Name, QuiesceWindow = TimeSpan.FromSeconds(3) });
        var (engine, pool) = Lost(domain, out _);
        domain.Advance(20, coarse: true);

        var close = engine.Close(pool);
        domain.Settle();

        Assert.IsType<EngineProtocol.PoolClosed>(engine.Answers[close]);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Engine_that_ends_should_take_its_lost_pool_with_it()
    {
        var domain = new SimulatedDomain(2);
        var (engine, _) = Lost(domain, out _);

        EndProcess(domain, engine);
        domain.Settle();

        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
    }

    [Fact]
    public void Pool_without_an_owner_should_be_closed_at_once()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = Grown(domain);
        EndProcess(domain, engine);
        domain.KillHost(1, isNoticed: true);
        domain.Ranks[1].EndKeeper(pool);
        domain.ReviveHost(1);

        domain.Settle();

        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        Assert.Empty(domain.Coordinator.Describe().Pools);
    }

    [Fact]
    public void New_coordinator_should_unmap_nothing_of_a_lost_pool_that_isn_t_closed()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = Lost(domain, out var extents);
        domain.TakeOver();
        domain.Advance(5);
        Assert.True(domain.Ranks[0].Pools[pool].Mapped.SetEquals(extents));
        Assert.Equal("lost", Assert.Single(domain.Coordinator.Describe().Pools).State);

        engine.ClosesLost = true;
        domain.Advance(3);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_of_which_nothing_was_granted_should_need_nobody_to_be_quiet()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        engine.ClosesLost = false;
        domain.KillHost(1, isNoticed: true);
        domain.Ranks[1].EndKeeper(pool);
        domain.ReviveHost(1);

        domain.Settle();

        Assert.Equal(RefusalReason.PoolLost, engine.Withdrawn[pool].Reason);
        Assert.Empty(domain.Coordinator.Describe().Pools);
    }

    private static (SimulatedEngine Engine, PoolId Pool) Grown(SimulatedDomain domain)
    {
        var (engine, pool) = domain.AddWorkerPool();
        engine.Grow(pool, 4);
        domain.Settle();
        return (engine, pool);
    }

    private static void EndProcess(SimulatedDomain domain, SimulatedEngine engine)
    {
        var session = engine.Session;
        engine.Restart();
        domain.FromEngine(engine, new EngineProtocol.SessionDied(session));
    }

    /// <summary>A pool that has lost its second rank, and whose engine doesn't close it by itself.</summary>
    private static (SimulatedEngine Engine, PoolId Pool) Lost(SimulatedDomain domain, out HashSet<Core.Paging.Extent> extents)
    {
        var (engine, pool) = Grown(domain);
        extents = [.. engine.Held[pool]];
        engine.ClosesLost = false;
        domain.KillHost(1, isNoticed: true);
        domain.Ranks[1].EndKeeper(pool);
        domain.ReviveHost(1);
        domain.Settle();
        return (engine, pool);
    }
}
