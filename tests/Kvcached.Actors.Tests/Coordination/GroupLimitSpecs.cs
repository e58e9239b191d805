using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Limits and floors that hold on some of a pool's GPUs.</summary>
public class GroupLimitSpecs
{
    private static long _lastTicket;

    [Fact]
    public void Limit_of_a_group_should_hold_on_its_gpus_and_bound_the_pool_on_all()
    {
        var domain = new SimulatedDomain(3, capacityPages: 8);
        var (engine, pool) = domain.AddPool("a");
        Change(domain, Pages(6));
        var changed = Changed(domain, Change(domain, Pages(3), "HOST-1", "HOST-2"));
        Assert.Equal([6, 3, 3], changed.OnGpus.Select(on => on.LimitBytes / TestPools.PageBytes));

        var tooMuch = engine.Grow(pool, 4);
        var fits = engine.Grow(pool, 3);
        domain.Settle();
        Assert.Equal(RefusalReason.LimitExceeded, engine.RefusalOf(tooMuch).Reason);
        Assert.Contains("HOST-1", engine.RefusalOf(tooMuch).Detail, StringComparison.Ordinal);
        Assert.Equal(3, engine.GrantOf(fits).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Limit_of_one_gpu_below_what_is_held_should_be_deferred_and_shrink_the_pool_everywhere()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 5);
        domain.Settle();

        Assert.Equal(PolicyOutcome.Deferred, Changed(domain, Change(domain, Pages(2), "HOST-1")).Outcome);
        domain.Advance(0.1);

        var shrink = Assert.Single(engine.Events.OfType<EngineProtocol.ShrinkRequested>());
        Assert.Equal(new GpuBytes(TestPools.Gpu(1), 3 * TestPools.PageBytes), Assert.Single(shrink.Wanted));
        Assert.All(domain.Ranks, rank => Assert.Equal(2 * TestPools.PageBytes, rank.MappedBytes));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Groups_should_outlive_the_coordinator_and_be_taken_back_by_default()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        domain.AddPool("a");
        Change(domain, Pages(3), "HOST-1");
        domain.TakeOver();
        domain.Advance(3);
        Assert.Equal([8, 3], domain.Coordinator.Describe().Pools.Single().OnGpus.Select(on => on.LimitBytes / TestPools.PageBytes));
        Assert.All(domain.Ranks, rank => Assert.Equal(TestPools.Gpu(1), Assert.Single(Assert.Single(rank.Policies).OnGpus).Gpu));

        Change(domain, new PolicyChange(MemoryAmount.AsOpened, default, 0, 0), "HOST-1");
        Assert.Equal([8, 8], domain.Coordinator.Describe().Pools.Single().OnGpus.Select(on => on.LimitBytes / TestPools.PageBytes));
        Assert.All(domain.Ranks, rank => Assert.Empty(Assert.Single(rank.Policies).OnGpus));
    }

    [Fact]
    public void Floor_of_a_group_should_be_checked_on_its_gpus_only()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        domain.AddPool("b", 64, 0, floorPages: 6, 1);
        domain.AddPool("a");
        Assert.Equal(RefusalReason.FloorDoesNotFit, Refused(domain, Change(domain, new PolicyChange(default, Pages(4).Limit, 0, 0), "HOST-1")).Reason);
        Assert.Equal([4, 0], Changed(domain, Change(domain, new PolicyChange(default, Pages(4).Limit, 0, 0), "HOST-0")).OnGpus.Select(on => on.FloorBytes / TestPools.PageBytes));
    }

    [Theory]
    [InlineData("HOST-2", 0, RefusalReason.UnknownGpu)]
    [InlineData("HOST", 0, RefusalReason.UnknownGpu)]
    [InlineData("", 0, RefusalReason.UnknownGpu)]
    [InlineData("HOST-1", 3, RefusalReason.BadLimit)]
    public void Group_that_makes_no_sense_should_be_refused_and_change_nothing(string gpu, int weight, RefusalReason reason)
    {
        var domain = new SimulatedDomain(3, capacityPages: 8);
        domain.AddPool("a", 64, 0, 0, 0, 1);
        Assert.Equal(reason, Refused(domain, Change(domain, Pages(2) with { Weight = weight }, gpu)).Reason);
        Assert.Equal(0, domain.Coordinator.Describe().Pools.Single().Revision);
    }

    private static PolicyChange Pages(int pages) => new(MemoryAmount.OfBytes(pages * TestPools.PageBytes), default, 0, 0);

    private static long Change(SimulatedDomain domain, PolicyChange change, params string[] gpus)
    {
        var ticket = Interlocked.Increment(ref _lastTicket);
        domain.Coordinator.ChangePolicy(domain.Now, ticket, new OperatorProtocol.ChangePolicy("a", change) { Gpus = [.. gpus] });
        Assert.Null(domain.Coordinator.FindImbalance());
        domain.Settle();
        return ticket;
    }

    private static OperatorProtocol.PolicyChanged Changed(SimulatedDomain domain, long ticket) =>
        Assert.IsType<OperatorProtocol.PolicyChanged>(domain.OperatorReplies.GetValueOrDefault(ticket));

    private static Refusal Refused(SimulatedDomain domain, long ticket) =>
        Assert.IsType<OperatorProtocol.OperatorRefused>(domain.OperatorReplies.GetValueOrDefault(ticket)).Refusal;
}
