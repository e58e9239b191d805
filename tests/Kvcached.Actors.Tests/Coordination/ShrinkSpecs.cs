using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Pools above their weighted share make room for those below, when nobody's warm extents suffice.</summary>
public class ShrinkSpecs
{
    [Fact]
    public void Pool_above_its_share_should_shrink_for_one_below_and_the_request_be_granted()
    {
        var (domain, holder, theirs, _) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        var request = engine.Grow(pool, 3);
        domain.Settle();

        var shrink = Assert.Single(holder.Events.OfType<EngineProtocol.ShrinkRequested>());
        Assert.Equal((theirs, new GpuBytes(domain.Ranks[0].Gpu, 3 * TestPools.PageBytes)), (shrink.Pool, Assert.Single(shrink.Wanted)));
        Assert.Equal(TimeSpan.FromSeconds(1), shrink.Deadline);
        Assert.Equal(3, engine.GrantOf(request).Sum(e => e.PageCount));
        Assert.Equal(8 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_on_several_short_gpus_should_be_asked_once_for_all_of_them()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        var (holder, theirs) = domain.AddPool("b");
        holder.Grow(theirs, 8);
        var (engine, pool) = domain.AddPool("a");
        domain.Settle();
        var request = engine.Grow(pool, 2);
        domain.Settle();

        Assert.Equal(2, engine.GrantOf(request).Sum(e => e.PageCount));
        var shrink = Assert.Single(holder.Events.OfType<EngineProtocol.ShrinkRequested>());
        Assert.Equal(domain.Ranks.Select(r => new GpuBytes(r.Gpu, 2 * TestPools.PageBytes)).OrderBy(w => w.Gpu), shrink.Wanted.OrderBy(w => w.Gpu));
        Assert.Equal(8 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Warm_extents_should_be_revoked_first_and_only_the_rest_asked_for()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        holder.ReportWarm(theirs, 1, extents[..2]);
        domain.Settle();

        var request = engine.Grow(pool, 3);
        domain.Settle();

        Assert.Equal(2, Assert.Single(holder.Events.OfType<EngineProtocol.RevokeExtents>()).Extents.Length);
        Assert.Equal(TestPools.PageBytes, Assert.Single(holder.Events.OfType<EngineProtocol.ShrinkRequested>()).Wanted[0].ByteCount);
        Assert.Equal(3, engine.GrantOf(request).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void What_is_freed_bit_by_bit_should_go_to_who_waits_and_not_to_who_comes_later()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (first, firstPool) = domain.AddPool("f");
        var (second, secondPool) = domain.AddPool("s");
        holder.GivesUp = null;
        var waits = first.Grow(firstPool, 2);
        domain.Settle();
        var later = second.Grow(secondPool, 1);
        holder.Free(theirs, extents[0]);
        domain.Settle();
        Assert.DoesNotContain(waits, first.Answers.Keys);
        Assert.DoesNotContain(later, second.Answers.Keys);

        // Whether it leaves as an answer or by itself is the same to who waits; nobody is asked twice meanwhile.
        holder.Free(theirs, extents[1]);
        domain.Settle();
        Assert.Equal(2, first.GrantOf(waits).Sum(e => e.PageCount));
        Assert.Equal([2 * TestPools.PageBytes, TestPools.PageBytes], holder.Events.OfType<EngineProtocol.ShrinkRequested>().Select(s => s.Wanted[0].ByteCount));
        holder.Free(theirs, extents[2]);
        domain.Settle();
        Assert.Equal(1, second.GrantOf(later).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Request_above_its_own_share_should_be_refused_at_once_and_say_who_holds_the_rest()
    {
        var (domain, holder, _, _) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        var request = engine.Grow(pool, 5);
        domain.Settle();

        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(request).Reason);
        Assert.Contains("b 32 KiB", engine.RefusalOf(request).Detail, StringComparison.Ordinal);
        Assert.Empty(holder.Events.OfType<EngineProtocol.ShrinkRequested>());
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_that_gives_nothing_should_end_in_a_refusal_and_be_left_alone_for_a_while()
    {
        var (domain, holder, _, _) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        holder.GivesUp = _ => false;
        var request = engine.Grow(pool, 2, deadlineSeconds: 30);
        domain.Advance(0.9);
        Assert.DoesNotContain(request, engine.Answers.Keys);
        domain.Advance(0.2);
        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(request).Reason);

        var again = engine.Grow(pool, 2, deadlineSeconds: 30);
        domain.Settle();
        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(again).Reason);
        Assert.Single(holder.Events.OfType<EngineProtocol.ShrinkRequested>());

        domain.Advance(10);
        holder.GivesUp = _ => true;
        var granted = engine.Grow(pool, 2, deadlineSeconds: 30);
        domain.Settle();
        Assert.Equal(2, engine.GrantOf(granted).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Two_pools_should_not_shrink_each_other()
    {
        var (domain, holder, theirs, _) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 4);
        domain.Settle();
        Assert.Single(holder.Events.OfType<EngineProtocol.ShrinkRequested>());

        var back = holder.Grow(theirs, 1);
        var more = engine.Grow(pool, 1);
        domain.Settle();

        Assert.Equal(RefusalReason.OutOfMemory, holder.RefusalOf(back).Reason);
        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(more).Reason);
        Assert.Empty(engine.Events.OfType<EngineProtocol.ShrinkRequested>());
        Assert.Single(holder.Events.OfType<EngineProtocol.ShrinkRequested>());
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pool_that_closes_while_it_is_to_shrink_should_leave_its_memory_to_who_waits()
    {
        var (domain, holder, theirs, _) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        holder.GivesUp = null;
        var request = engine.Grow(pool, 4);
        domain.Settle();
        holder.Close(theirs);
        domain.Settle();
        Assert.Equal(4, engine.GrantOf(request).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    /// <summary>One GPU of 8 pages, all granted to one pool as extents of one page.</summary>
    private static (SimulatedDomain Domain, SimulatedEngine Holder, PoolId Pool, Extent[] Extents) FullGpu()
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        var (holder, pool) = domain.AddPool("b");
        var grant = holder.Grow(pool, 8);
        domain.Settle();
        return (domain, holder, pool, [.. holder.GrantOf(grant)]);
    }
}
