using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>What can't be unmapped is out of the table, but neither its ids nor its bytes are anyone's until it can.</summary>
public class QuarantineSpecs
{
    [Fact]
    public void Unmap_that_one_rank_does_not_ack_should_leave_quarantine_there_and_let_others_go_on()
    {
        var domain = new SimulatedDomain(2, capacityPages: 16);
        var (engine, pool) = domain.AddPool("a", 64, 0, 0, 0, 1);
        var (other, theirs) = domain.AddPool("b", 64, 0, 0, 0);
        var grant = engine.Grow(pool, 8);
        domain.Settle();
        domain.ToRank(1).IsHeld = true;

        var freed = engine.Free(pool, engine.GrantOf(grant));
        domain.Advance(2.2);

        Assert.IsType<EngineProtocol.ExtentsFreed>(engine.Answers[freed]);
        Assert.Equal(0, domain.Coordinator.Describe().Gpus[0].QuarantinedBytes);
        Assert.Equal(8 * TestPools.PageBytes, domain.Coordinator.Describe().Gpus[1].QuarantinedBytes);
        var granted = other.Grow(theirs, 16);
        domain.Settle();
        Assert.Equal(16, other.GrantOf(granted).Sum(e => e.PageCount));

        domain.ToRank(1).IsHeld = false;
        domain.Advance(0.1);
        Assert.Equal(0, domain.Coordinator.Describe().Gpus[1].QuarantinedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Quarantined_page_ids_should_not_be_granted_again_before_they_are_free()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a", virtualPages: 8);
        var grant = engine.Grow(pool, 8);
        domain.Settle();
        domain.Ranks[1].SticksOn = 100;
        domain.Ranks[1].StaysStuck = true;
        engine.Free(pool, engine.GrantOf(grant));
        domain.Settle();

        var refused = engine.Grow(pool, 1);
        domain.Settle();
        Assert.Equal(RefusalReason.VirtualSpaceExhausted, engine.RefusalOf(refused).Reason);
        QuietRules.CheckQuiet(domain);

        domain.Ranks[1].StaysStuck = false;
        domain.Advance(1.1);
        var granted = engine.Grow(pool, 8);
        domain.Settle();
        Assert.Equal(8, engine.GrantOf(granted).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Quarantine_should_count_against_the_limit_of_the_pool_that_caused_it()
    {
        var domain = new SimulatedDomain(1, capacityPages: 64);
        var (engine, pool) = domain.AddPool("a", 64, limitPages: 8);
        var grant = engine.Grow(pool, 8);
        domain.Settle();
        domain.Ranks[0].SticksOn = 100;
        domain.Ranks[0].StaysStuck = true;
        engine.Free(pool, engine.GrantOf(grant));
        domain.Settle();

        var refused = engine.Grow(pool, 1);
        domain.Settle();

        Assert.Equal(RefusalReason.LimitExceeded, engine.RefusalOf(refused).Reason);
    }

    [Fact]
    public void Cleared_quarantine_should_be_heard_of_when_the_first_message_is_lost()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 4);
        domain.Settle();
        domain.Ranks[0].SticksOn = 100;
        engine.Free(pool, engine.GrantOf(grant));
        domain.Settle();
        Assert.True(domain.Coordinator.Describe().Gpus[0].QuarantinedBytes > 0);
        var isFirst = true;
        domain.FromRank(0).Loses = m =>
        {
            var loses = isFirst && m is SimulatedDomain.Mail { Message: RankProtocol.QuarantineCleared };
            isFirst &= !loses;
            return loses;
        };

        domain.Advance(2.5);

        Assert.False(isFirst);
        QuietRules.CheckQuiet(domain);
        Assert.Equal(0, domain.Coordinator.Describe().Gpus[0].QuarantinedBytes);
    }

    [Fact]
    public void Cleared_quarantine_should_change_nothing_when_the_rank_has_closed_the_pool()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 4);
        domain.Settle();
        domain.Ranks[0].SticksOn = 100;
        domain.Ranks[0].StaysStuck = true;
        engine.Free(pool, engine.GrantOf(grant));
        domain.Settle();
        domain.ToRank(1).IsHeld = true;
        engine.Close(pool);
        domain.Settle();
        Assert.Equal("closing", Assert.Single(domain.Coordinator.Describe().Pools).State);

        domain.Coordinator.QuarantineCleared(
            domain.Now, new RankProtocol.QuarantineCleared(domain.Ranks[0].Gpu, domain.Ranks[0].Incarnation, pool, engine.GrantOf(grant)));

        Assert.Null(domain.Coordinator.FindImbalance());
        domain.ToRank(1).IsHeld = false;
        domain.Settle();
        Assert.Empty(domain.Coordinator.Describe().Pools);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Undoing_a_map_that_got_stuck_should_quarantine_it()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.Ranks[1].RefusesMaps = 1;
        domain.Ranks[0].SticksOn = 1;
        domain.Ranks[0].StaysStuck = true;

        var refused = engine.Grow(pool, 1);
        domain.Settle();

        Assert.Equal(RefusalReason.OutOfMemory, engine.RefusalOf(refused).Reason);
        Assert.Equal(TestPools.PageBytes, domain.Coordinator.Describe().Gpus[0].QuarantinedBytes);
        QuietRules.CheckQuiet(domain);
        domain.Ranks[0].StaysStuck = false;
        domain.Advance(1.1);
        Assert.Equal(0, domain.Coordinator.Describe().Gpus[0].QuarantinedBytes);
    }
}
