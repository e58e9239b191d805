using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Pools that engine workers map: nothing is granted without all of them, and fences reach those who unmap.</summary>
public class WorkerPoolSpecs
{
    [Fact]
    public void Nothing_should_be_granted_before_all_ranks_have_their_worker()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool(isAttached: false);
        domain.SetWorker(0, pool, RankWorker.Attached);
        var early = engine.Grow(pool, 2);
        domain.Settle();
        Assert.Equal(RefusalReason.NotAttached, engine.RefusalOf(early).Reason);

        domain.SetWorker(1, pool, RankWorker.Attached);
        var granted = engine.Grow(pool, 2);
        domain.Settle();

        Assert.Equal(2, engine.GrantOf(granted).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Rank_should_learn_of_a_worker_although_the_first_word_of_it_is_lost()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddWorkerPool(isAttached: false);
        domain.FromRank(0).LosesNext = 1;
        domain.SetWorker(0, pool, RankWorker.Attached);

        domain.Advance(1.1);
        var granted = engine.Grow(pool, 1);
        domain.Settle();

        Assert.NotEmpty(engine.GrantOf(granted));
    }

    [Fact]
    public void Map_that_a_rank_refuses_for_want_of_a_worker_should_be_undone_on_all()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool(isAttached: false);
        domain.SetWorker(0, pool, RankWorker.Attached);
        domain.SetWorker(1, pool, RankWorker.Attached);
        domain.Settle();
        domain.FromRank(1).Loses = m => m is SimulatedDomain.Mail { Message: RankProtocol.WorkerChanged };
        domain.SetWorker(1, pool, RankWorker.Gone);

        var refused = engine.Grow(pool, 2);
        domain.Settle();

        Assert.Equal(RefusalReason.NotAttached, engine.RefusalOf(refused).Reason);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_should_be_lost_when_no_worker_comes_back_in_its_window_and_not_before()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        engine.Grow(pool, 4);
        domain.Settle();
        domain.SetWorker(1, pool, RankWorker.Gone);
        domain.Advance(50, coarse: true);
        domain.SetWorker(1, pool, RankWorker.Attached);
        domain.Advance(50, coarse: true);
        Assert.Empty(engine.Withdrawn);

        engine.ClosesLost = false;
        domain.SetWorker(0, pool, RankWorker.Gone);
        domain.Advance(61, coarse: true);

        // The other rank's worker may still run steps over it.
        Assert.Equal(RefusalReason.PoolLost, engine.Withdrawn[pool].Reason);
        Assert.Equal(4 * TestPools.PageBytes, domain.Ranks[1].MappedBytes);
        engine.ClosesLost = true;
        domain.Advance(1);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_whose_workers_have_not_come_yet_should_wait_for_them()
    {
        var domain = new SimulatedDomain(1);
        var (engine, _) = domain.AddWorkerPool(isAttached: false);

        domain.Advance(300, coarse: true);

        Assert.Empty(engine.Withdrawn);
        Assert.Single(domain.Coordinator.Describe().Pools);
    }

    [Fact]
    public void New_coordinator_should_know_which_workers_are_there()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        domain.SetWorker(1, pool, RankWorker.Gone);
        domain.Settle();
        domain.TakeOver();
        domain.Settle();

        var refused = engine.Grow(pool, 1);
        domain.Settle();

        Assert.Equal(RefusalReason.NotAttached, engine.RefusalOf(refused).Reason);
        Assert.Contains(TestPools.Gpu(1).ToString(), engine.RefusalOf(refused).Detail);
    }

    [Fact]
    public void Return_should_carry_its_fence_to_every_rank_and_into_every_later_table()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 2);
        domain.Settle();

        domain.FromEngine(engine, new EngineProtocol.FreeExtents(engine.Session, new RequestId(99), default, pool, engine.GrantOf(grant), new EngineStep(41)));
        engine.Held[pool].Clear();
        domain.Settle();

        Assert.All(new[] { 0, 1 }, i => Assert.Equal(new EngineStep(41), Unmaps(domain, i).Single().Fence));
        domain.TakeOver();
        domain.Settle();
        Assert.All(new[] { 0, 1 }, i => Assert.Equal(new EngineStep(41), domain.ToRank(i).Sent.OfType<SimulatedDomain.Mail>()
            .Select(m => m.Message).OfType<RankProtocol.InstallTable>().Last().Fence));
    }

    [Fact]
    public void Extents_both_returned_and_given_up_should_leave_after_the_later_fence()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");
        var first = engine.Grow(pool, 1);
        var second = engine.Grow(pool, 1);
        domain.Settle();
        domain.ToRank(0).IsHeld = true;
        engine.Grow(pool, 1);
        domain.Settle();
        var extents = engine.GrantOf(second);

        // The map in flight keeps the return waiting.
        domain.FromEngine(engine, new EngineProtocol.FreeExtents(engine.Session, new RequestId(99), default, pool, extents, new EngineStep(7)));
        domain.FromEngine(engine, new EngineProtocol.RevokeAnswered(engine.Session, pool, 1, extents, new EngineStep(9)));
        domain.FromEngine(engine, new EngineProtocol.RevokeAnswered(engine.Session, pool, 2, engine.GrantOf(first), new EngineStep(3)));
        domain.Settle();
        domain.ToRank(0).IsHeld = false;
        domain.Settle();

        Assert.Equal([new EngineStep(9), new EngineStep(3)], Unmaps(domain, 0).Select(d => d.Fence));
    }

    [Fact]
    public void Close_should_carry_the_last_step_to_every_rank_however_often_it_is_sent()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddWorkerPool();
        engine.Grow(pool, 2);
        domain.Settle();
        domain.ToRank(1).LosesNext = 1;

        domain.FromEngine(engine, new EngineProtocol.ClosePool(engine.Session, new RequestId(99), default, pool, new EngineStep(41)));
        domain.Advance(5);

        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        var closes = new[] { 0, 1 }.SelectMany(rank => domain.ToRank(rank).Sent).OfType<SimulatedDomain.Mail>().Select(m => m.Message).OfType<RankProtocol.CloseRankPool>().ToArray();
        Assert.Equal(3, closes.Length);
        Assert.All(closes, close => Assert.Equal(new EngineStep(41), close.Fence));
    }

    private static IEnumerable<Decision> Unmaps(SimulatedDomain domain, int rank) => domain.ToRank(rank).Sent.OfType<SimulatedDomain.Mail>()
        .Select(m => m.Message).OfType<RankProtocol.Decide>().Select(d => d.Decision).Where(d => d.Kind == DecisionKind.Unmap);
}
