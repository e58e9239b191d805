using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Pools that share a GPU: asking back what is warm, waiting in order, and giving up.</summary>
public class MemorySpecs
{
    [Fact]
    public void Warm_extents_of_another_pool_should_be_asked_back_longest_idle_first_and_the_request_granted()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        holder.ReportWarm(theirs, 1, extents[2..]);
        domain.FromEngine(holder, new EngineProtocol.ReportWarmExtents(
            holder.Session, theirs, [.. extents.Select((e, i) => new IdleExtent(e, TimeSpan.FromSeconds(i)))]));
        domain.Settle();

        var request = engine.Grow(pool, 2);
        domain.Settle();

        Assert.Equal(2, engine.GrantOf(request).Sum(e => e.PageCount));
        var revoke = Assert.Single(holder.Events.OfType<EngineProtocol.RevokeExtents>());
        Assert.Equal(extents[^2..].Order(ByPage), revoke.Extents.Order(ByPage));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Memory_should_be_asked_back_on_every_short_gpu_of_the_request()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        var (left, leftPool) = domain.AddPool("l", 64, 0, 0, 0);
        var (right, rightPool) = domain.AddPool("r", 64, 0, 0, 1);
        var leftGrant = left.Grow(leftPool, 8);
        var rightGrant = right.Grow(rightPool, 8);
        var (engine, pool) = domain.AddPool("a");
        domain.Settle();
        left.ReportWarm(leftPool, 1, left.GrantOf(leftGrant));
        right.ReportWarm(rightPool, 1, right.GrantOf(rightGrant));
        domain.Settle();

        var request = engine.Grow(pool, 3);
        domain.Settle();

        Assert.Equal(3, engine.GrantOf(request).Sum(e => e.PageCount));
        Assert.Equal(8 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        Assert.Equal(8 * TestPools.PageBytes, domain.Ranks[1].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Nobody_should_be_asked_when_all_that_is_warm_would_not_suffice()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        holder.ReportWarm(theirs, 1, extents[..2]);
        domain.Settle();

        // More than its share, so that nobody is asked to shrink for it either.
        var request = engine.Grow(pool, 5);
        domain.Settle();

        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(request).Reason);
        Assert.Contains("b 32 KiB", engine.RefusalOf(request).Detail, StringComparison.Ordinal);
        Assert.Empty(holder.Events.OfType<EngineProtocol.RevokeExtents>());
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Unanswered_revoke_should_end_in_a_refusal_and_a_late_answer_still_count()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        holder.GivesUp = null;
        holder.ReportWarm(theirs, 1, extents);
        domain.Settle();

        var request = engine.Grow(pool, 2);
        domain.Advance(0.2);
        Assert.DoesNotContain(request, engine.Answers.Keys);
        domain.Advance(0.1);
        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(request).Reason);
        Assert.Equal(8 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);

        var revoke = holder.Events.OfType<EngineProtocol.RevokeExtents>().Single();
        holder.Held[theirs].ExceptWith(revoke.Extents);
        domain.FromEngine(holder, new EngineProtocol.RevokeAnswered(holder.Session, theirs, revoke.RevokeId, revoke.Extents, EngineStep.None));
        domain.Settle();
        Assert.Equal(6 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Extents_in_use_should_stay_and_the_request_be_refused()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        holder.GivesUp = e => e == extents[0];
        holder.ReportWarm(theirs, 1, extents);
        domain.Settle();

        var request = engine.Grow(pool, 8);
        domain.Settle();

        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(request).Reason);
        Assert.Equal(7 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Answer_of_another_session_or_about_foreign_extents_should_take_nothing()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var stranger = domain.AddEngine("x");

        domain.FromEngine(stranger, new EngineProtocol.RevokeAnswered(stranger.Session, theirs, 1, [.. extents], EngineStep.None));
        domain.FromEngine(holder, new EngineProtocol.RevokeAnswered(holder.Session, theirs, 1, [new Extent(9, new PageId(-4), 31, 7), extents[0] with { Generation = 99 }], EngineStep.None));
        domain.FromEngine(holder, new EngineProtocol.RevokeAnswered(holder.Session, theirs, 1, default, EngineStep.None));
        domain.Settle();

        Assert.Equal(8 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Warm_reports_of_nonsense_should_harm_nobody()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        domain.FromEngine(holder, new EngineProtocol.ReportWarmExtents(holder.Session, theirs, [new IdleExtent(extents[0], TimeSpan.MinValue), new IdleExtent(extents[1], TimeSpan.MaxValue)]));
        var request = engine.Grow(pool, 2);
        domain.Settle();
        Assert.Equal(2, engine.GrantOf(request).Sum(e => e.PageCount));

        domain.FromEngine(holder, new EngineProtocol.ReportWarmExtents(holder.Session, theirs, [.. extents.Concat(extents).Select(e => new IdleExtent(e, default))]));
        domain.FromEngine(holder, new EngineProtocol.ReportWarmExtents(holder.Session, theirs, default));
        domain.FromEngine(holder, new EngineProtocol.ReportWarmExtents(holder.Session, theirs, [new IdleExtent(new Extent(3, new PageId(-9), 31, 1), default)]));
        var refused = engine.Grow(pool, 3);
        domain.Settle();
        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(refused).Reason);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Floor_of_a_pool_should_not_be_asked_back()
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        var (holder, theirs) = domain.AddPool("b", 64, 0, floorPages: 8);
        var grant = holder.Grow(theirs, 8);
        var (engine, pool) = domain.AddPool("a");
        domain.Settle();
        holder.ReportWarm(theirs, 1, holder.GrantOf(grant));
        domain.Settle();

        var request = engine.Grow(pool, 1);
        domain.Settle();

        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(request).Reason);
        Assert.Empty(holder.Events.OfType<EngineProtocol.RevokeExtents>());
    }

    [Fact]
    public void Who_waits_for_memory_should_be_served_before_who_comes_later()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (first, firstPool) = domain.AddPool("f");
        var (second, secondPool) = domain.AddPool("s");
        holder.ReportWarm(theirs, 1, extents);
        domain.Settle();
        domain.ToEngine(holder).IsHeld = true;
        var large = first.Grow(firstPool, 6);
        domain.Settle();
        var small = second.Grow(secondPool, 1);
        domain.Settle();
        Assert.DoesNotContain(small, second.Answers.Keys);

        domain.ToEngine(holder).IsHeld = false;
        domain.Settle();

        Assert.Equal(6, first.GrantOf(large).Sum(e => e.PageCount));
        Assert.Equal(1, second.GrantOf(small).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Who_waits_should_be_refused_at_its_deadline_and_the_next_one_served()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (first, firstPool) = domain.AddPool("f");
        var (second, secondPool) = domain.AddPool("s");
        domain.ToRank(0).IsHeld = true;
        holder.Free(theirs, extents[0]);
        domain.Settle();
        var waits = first.Grow(firstPool, 1, deadlineSeconds: 0.5);
        var next = second.Grow(secondPool, 1, deadlineSeconds: 4);
        domain.Advance(0.6);
        Assert.Equal(RefusalReason.OutOfMemory, first.RefusalOf(waits).Reason);

        domain.ToRank(0).IsHeld = false;
        domain.Settle();

        Assert.Equal(1, second.GrantOf(next).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Request_above_the_limit_should_ask_nobody_for_memory()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (engine, pool) = domain.AddPool("a", 64, limitPages: 2);
        holder.ReportWarm(theirs, 1, extents);
        domain.Settle();

        var request = engine.Grow(pool, 3);
        domain.Settle();

        Assert.Equal(RefusalReason.LimitExceeded, engine.RefusalOf(request).Reason);
        Assert.Empty(holder.Events.OfType<EngineProtocol.RevokeExtents>());
    }

    [Fact]
    public void Lost_revoke_answer_should_not_lose_the_extents()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        holder.ReportWarm(theirs, 1, extents);
        domain.Settle();
        domain.FromEngine(holder).LosesNext = 2;

        engine.Grow(pool, 2, deadlineSeconds: 0.1);
        domain.Advance(3);

        Assert.Equal(6 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    private static Comparer<Extent> ByPage { get; } = Comparer<Extent>.Create((a, b) => a.First.CompareTo(b.First));

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
