using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>A GPU is drained before its host is stopped.</summary>
public class DrainSpecs
{
    private static long _lastTicket;

    [Fact]
    public void Drained_gpu_should_lend_nothing_new_give_back_what_is_warm_and_keep_what_is_used()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 4);
        domain.Settle();
        var extents = engine.GrantOf(grant);
        engine.ReportWarm(pool, 1, extents[..1]);
        domain.Settle();

        var first = Drained(domain, Drain(domain, "HOST-1"));
        Assert.Equal((true, false, "its engine is asked for what it doesn't use"), (first.IsDraining, first.IsQuiet, first.Pools.Single().Awaited));
        domain.Settle();

        var last = Drained(domain, Drain(domain, "HOST-1"));
        Assert.True(last.IsQuiet);
        Assert.Equal(new DrainedPool("a", 3 * TestPools.PageBytes, false, string.Empty), last.Pools.Single());
        Assert.All(domain.Ranks, rank => Assert.Equal(3 * TestPools.PageBytes, rank.MappedBytes));
        var refused = engine.Grow(pool, 1);
        var opened = domain.AddEngine("b").Open(TestPools.Spec("b", [domain.Ranks[1].Gpu]));
        domain.Settle();
        Assert.Equal(RefusalReason.Draining, engine.RefusalOf(refused).Reason);
        Assert.Equal(RefusalReason.Draining, domain.Engines[^1].RefusalOf(opened).Reason);

        // Other GPUs don't mind.
        var (other, elsewhere) = domain.AddPool("c", ranks: 0);
        var granted = other.Grow(elsewhere, 2);
        domain.Settle();
        Assert.Equal(2, other.GrantOf(granted).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void What_becomes_warm_while_draining_should_be_given_back_too()
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 2);
        domain.Settle();
        Drain(domain, "HOST-0");
        domain.Settle();
        engine.ReportWarm(pool, 1, engine.GrantOf(grant));
        domain.Advance(0.1);
        Assert.Equal(0, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Map_under_way_should_be_told_as_such_and_go_through()
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 2);
        domain.Deliver(domain.FromEngine(engine));

        var first = Drained(domain, Drain(domain, "HOST-0"));
        Assert.Equal((false, "a decision is under way"), (first.IsQuiet, first.Pools.Single().Awaited));
        domain.Settle();
        Assert.Equal(2, engine.GrantOf(grant).Sum(e => e.PageCount));
        Assert.True(Drained(domain, Drain(domain, "HOST-0")).IsQuiet);
    }

    [Fact]
    public void Request_that_waits_should_be_refused_when_draining_begins()
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        var (holder, theirs) = domain.AddPool("b");
        holder.GivesUp = null;
        holder.Grow(theirs, 8);
        domain.Settle();
        var (engine, pool) = domain.AddPool("a");
        var waits = engine.Grow(pool, 2);
        domain.Settle();
        Assert.DoesNotContain(waits, engine.Answers.Keys);

        Drain(domain, "HOST-0");
        domain.Settle();
        Assert.Equal(RefusalReason.Draining, engine.RefusalOf(waits).Reason);
    }

    [Fact]
    public void Draining_should_outlive_the_coordinator_and_end_with_the_host_or_when_undone()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        Drain(domain, "HOST-0");
        Drain(domain, "HOST-1");
        domain.Advance(1);
        domain.TakeOver();
        domain.Advance(1);
        Assert.All(domain.Coordinator.Describe().Gpus, gpu => Assert.True(gpu.IsDraining));

        domain.RestartRank(0);
        Assert.False(Drained(domain, Drain(domain, "HOST-1", isDraining: false)).IsDraining);
        domain.Advance(1);
        Assert.All(domain.Coordinator.Describe().Gpus, gpu => Assert.False(gpu.IsDraining));
        var (engine, pool) = domain.AddPool("a");
        var granted = engine.Grow(pool, 2);
        domain.Settle();
        Assert.Equal(2, engine.GrantOf(granted).Sum(e => e.PageCount));
    }

    [Fact]
    public void Order_that_was_lost_should_be_repeated_until_the_rank_has_it()
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        Drain(domain, "HOST-0");
        domain.ToRank(0).Clear();
        domain.Register(domain.Ranks[0]);
        domain.Settle();
        Assert.True(domain.Coordinator.Describe().Gpus[0].IsDraining);
        Assert.True(domain.Ranks[0].IsDraining);
    }

    [Theory]
    [InlineData("HOST-7", "names 0 GPUs")]
    [InlineData("HOST", "names 2 GPUs")]
    [InlineData("", "names 0 GPUs")]
    public void Gpu_that_is_not_named_clearly_should_be_refused(string gpu, string why)
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        var refusal = Assert.IsType<OperatorProtocol.OperatorRefused>(domain.OperatorReplies[Drain(domain, gpu)]).Refusal;
        Assert.Equal(RefusalReason.UnknownGpu, refusal.Reason);
        Assert.Contains(why, refusal.Detail, StringComparison.Ordinal);
        Assert.All(domain.Coordinator.Describe().Gpus, known => Assert.False(known.IsDraining));
    }

    private static long Drain(SimulatedDomain domain, string gpu, bool isDraining = true)
    {
        var ticket = Interlocked.Increment(ref _lastTicket);
        domain.Coordinator.DrainGpu(domain.Now, ticket, new OperatorProtocol.DrainGpu(gpu, isDraining));
        return ticket;
    }

    private static OperatorProtocol.GpuDrained Drained(SimulatedDomain domain, long ticket) => Assert.IsType<OperatorProtocol.GpuDrained>(domain.OperatorReplies[ticket]);
}
