using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Pages come on all ranks or on none.</summary>
public class GrantSpecs
{
    [Fact]
    public void Grant_should_be_mapped_on_all_ranks_when_it_is_told()
    {
        var domain = new SimulatedDomain(4);
        var (engine, pool) = domain.AddPool("a");

        var request = engine.Grow(pool, 5);
        domain.Settle();

        Assert.Equal(5, engine.GrantOf(request).Sum(e => e.PageCount));
        Assert.All(domain.Ranks, r => Assert.True(r.Pools[pool].Mapped.SetEquals(engine.GrantOf(request))));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Grant_should_not_be_told_while_one_rank_has_not_answered()
    {
        var domain = new SimulatedDomain(3);
        var (engine, pool) = domain.AddPool("a");
        domain.ToRank(2).IsHeld = true;

        var request = engine.Grow(pool, 4);
        domain.Settle();
        Assert.DoesNotContain(request, engine.Answers.Keys);

        domain.ToRank(2).IsHeld = false;
        domain.Settle();
        Assert.Equal(4, engine.GrantOf(request).Sum(e => e.PageCount));
    }

    [Fact]
    public void Growth_by_64_pages_should_be_one_decision_and_one_message_per_rank()
    {
        var domain = new SimulatedDomain(4, capacityPages: 4096);
        var (engine, pool) = domain.AddPool("a");
        var sentBefore = Enumerable.Range(0, 4).Select(i => domain.ToRank(i).Sent.Count).ToArray();

        var request = engine.Grow(pool, 64);
        domain.Settle();

        Assert.Single(engine.GrantOf(request));
        Assert.Equal(64, engine.GrantOf(request)[0].PageCount);
        Assert.All(Enumerable.Range(0, 4), i => Assert.Equal(sentBefore[i] + 1, domain.ToRank(i).Sent.Count));
        Assert.Equal(1, domain.Coordinator.Describe().Counters.Decisions);
    }

    [Fact]
    public void Refusal_of_one_rank_should_undo_the_map_on_all_and_leave_the_next_request_alone()
    {
        var domain = new SimulatedDomain(3);
        var (engine, pool) = domain.AddPool("a");
        domain.Ranks[1].RefusesMaps = 1;

        var refused = engine.Grow(pool, 8);
        domain.Settle();

        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(refused).Reason);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools[pool].Mapped));
        QuietRules.CheckQuiet(domain);
        var granted = engine.Grow(pool, 8);
        domain.Settle();
        Assert.Equal(8, engine.GrantOf(granted).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Aborted_map_should_keep_ids_and_bytes_until_every_rank_has_undone_it()
    {
        var domain = new SimulatedDomain(2, capacityPages: 16);
        var (engine, pool) = domain.AddPool("a", virtualPages: 16);
        domain.Ranks[1].RefusesMaps = 1;
        domain.FromRank(0).IsHeld = true;

        var refused = engine.Grow(pool, 10);
        domain.Settle();
        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(refused).Reason);

        var gpus = domain.Coordinator.Describe().Gpus;
        Assert.Equal(10 * TestPools.PageBytes, gpus[0].UsedBytes);
        Assert.Equal(0, gpus[1].UsedBytes);
        var tooMany = engine.Grow(pool, 10, deadlineSeconds: 1);
        domain.Advance(1.5);
        Assert.Equal(RefusalReason.DeadlineExceeded, engine.RefusalOf(tooMany).Reason);

        domain.FromRank(0).IsHeld = false;
        domain.Settle();
        var granted = engine.Grow(pool, 16);
        domain.Settle();
        Assert.Equal(16, engine.GrantOf(granted).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Memory_short_on_one_device_only_should_refuse_and_change_nothing_anywhere()
    {
        var domain = new SimulatedDomain(2, capacityPages: 32);
        var (engine, pool) = domain.AddPool("a");
        domain.Ranks[1].BytesTakenByOthers = 30 * TestPools.PageBytes;

        var refused = engine.Grow(pool, 4);
        domain.Settle();

        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(refused).Reason);
        Assert.All(domain.Ranks, r => Assert.Equal(0, r.MappedBytes));
        var granted = engine.Grow(pool, 2);
        domain.Settle();
        Assert.Equal(2, engine.GrantOf(granted).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Account_full_on_one_gpu_only_should_refuse_with_its_facts_and_reserve_nothing_on_the_other()
    {
        var domain = new SimulatedDomain(2, capacityPages: 16);
        var (neighbour, theirs) = domain.AddPool("b", 256, 0, 0, 1);
        neighbour.Grow(theirs, 12);
        var (engine, pool) = domain.AddPool("a");
        domain.Settle();

        // More than its share of that GPU, so that nobody makes room for it.
        var refused = engine.Grow(pool, 9);
        domain.Settle();

        var refusal = engine.RefusalOf(refused);
        Assert.Equal(RefusalReason.OutOfMemory, refusal.Reason);
        Assert.Equal(9 * TestPools.PageBytes, refusal.RequestedBytes);
        Assert.Equal(4 * TestPools.PageBytes, refusal.FreeBytes);
        QuietRules.CheckQuiet(domain);
        Assert.Equal(0, domain.Ranks[0].MappedBytes);
    }

    [Fact]
    public void Rank_that_never_answers_should_cost_a_refusal_by_the_deadline_and_the_abort_is_acked_later()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.ToRank(1).IsHeld = true;
        var asked = domain.Now;

        var request = engine.Grow(pool, 4, deadlineSeconds: 1);
        while (!engine.Answers.ContainsKey(request))
        {
            domain.Advance(0.02);
        }

        Assert.Equal(RefusalReason.DeadlineExceeded, engine.RefusalOf(request).Reason);
        Assert.InRange(domain.Now - asked, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1.04));
        domain.Advance(10);
        Assert.True(domain.Coordinator.Describe().Gpus[1].QuarantinedBytes > 0);

        domain.ToRank(1).IsHeld = false;
        domain.Advance(3);
        QuietRules.CheckQuiet(domain);
        Assert.Equal(0, domain.Coordinator.Describe().Gpus[1].QuarantinedBytes);
        var granted = engine.Grow(pool, 4);
        domain.Settle();
        Assert.Equal(4, engine.GrantOf(granted).Sum(e => e.PageCount));
    }

    [Fact]
    public void Hung_rank_should_not_keep_another_pool_waiting()
    {
        var domain = new SimulatedDomain(3);
        var (engine, pool) = domain.AddPool("a", 256, 0, 0, 0, 1);
        var (other, theirs) = domain.AddPool("b", 256, 0, 0, 0, 2);
        domain.ToRank(1).IsHeld = true;
        engine.Grow(pool, 4);

        var request = other.Grow(theirs, 4);
        domain.Settle();

        Assert.Equal(4, other.GrantOf(request).Sum(e => e.PageCount));
    }

    [Fact]
    public void Requests_of_one_pool_should_be_granted_in_the_order_they_came()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var first = engine.Grow(pool, 2);
        var second = engine.Grow(pool, 3);
        var third = engine.Grow(pool, 1);

        domain.Settle();

        Assert.Equal([first, second, third], engine.Answers.Keys.Where(k => engine.Answers[k] is EngineProtocol.PagesAllocated));
    }

    [Fact]
    public void Page_ids_all_taken_should_be_refused_and_leave_no_bytes_reserved()
    {
        var domain = new SimulatedDomain(2, capacityPages: 64);
        var (engine, pool) = domain.AddPool("a", virtualPages: 8);
        engine.Grow(pool, 6);
        domain.Settle();

        var refused = engine.Grow(pool, 4);
        domain.Settle();

        Assert.Equal(RefusalReason.VirtualSpaceExhausted, engine.RefusalOf(refused).Reason);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Freed_extents_should_be_unmapped_on_all_ranks_and_a_second_free_refused()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 4);
        domain.Settle();

        var freed = engine.Free(pool, engine.GrantOf(grant));
        domain.Settle();
        var again = engine.Free(pool, engine.GrantOf(grant));
        domain.Settle();

        Assert.IsType<EngineProtocol.ExtentsFreed>(engine.Answers[freed]);
        Assert.Equal(RefusalReason.StaleExtent, engine.RefusalOf(again).Reason);
        Assert.All(domain.Ranks, r => Assert.Equal(0, r.MappedBytes));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Free_that_names_one_stale_extent_should_free_none()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 1);
        domain.Settle();
        var extent = engine.GrantOf(grant)[0];

        var stale = engine.Free(pool, extent, extent with { Generation = extent.Generation + 1 });
        var twice = engine.Free(pool, extent, extent);
        var none = engine.Free(pool);
        domain.Settle();

        Assert.Equal(RefusalReason.StaleExtent, engine.RefusalOf(stale).Reason);
        Assert.Equal(RefusalReason.StaleExtent, engine.RefusalOf(twice).Reason);
        Assert.Equal(RefusalReason.InvalidCount, engine.RefusalOf(none).Reason);
        Assert.Equal(TestPools.PageBytes, domain.Ranks[0].MappedBytes);
    }
}
