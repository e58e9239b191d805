using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Messages that are lost or come twice change nothing but the time it takes.</summary>
public class LossSpecs
{
    [Fact]
    public void Lost_map_should_be_sent_again_before_the_deadline()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.ToRank(1).LosesNext = 1;

        var request = engine.Grow(pool, 4);
        domain.Advance(1.1);

        Assert.Equal(4, engine.GrantOf(request).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Lost_answer_should_be_asked_for_again_and_the_map_carried_out_once()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.FromRank(1).LosesNext = 1;

        var request = engine.Grow(pool, 4);
        domain.Advance(1.1);

        Assert.Equal(4, engine.GrantOf(request).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Rank_that_missed_an_unmap_should_get_it_replayed_when_the_next_decision_shows_the_gap()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 4);
        domain.Settle();
        domain.ToRank(1).Loses = m => m is SimulatedDomain.Mail { Message: RankProtocol.Decide { Decision.Kind: DecisionKind.Unmap } };
        engine.Free(pool, engine.GrantOf(grant));
        domain.Advance(2.5);
        Assert.Equal(4 * TestPools.PageBytes, domain.Ranks[1].MappedBytes);

        domain.ToRank(1).Loses = null;
        var next = engine.Grow(pool, 4);
        domain.Settle();

        Assert.Equal(4, engine.GrantOf(next).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Lost_ack_of_an_unmap_should_not_be_made_up_for_by_the_ack_of_a_later_decision()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 4);
        domain.Settle();
        domain.FromRank(1).Loses = m => m is SimulatedDomain.Mail { Message: RankProtocol.Decided { Answer.Seq: 2 } };
        engine.Free(pool, engine.GrantOf(grant));
        domain.Advance(2.2);
        engine.Grow(pool, 1);
        domain.Settle();
        Assert.True(domain.Coordinator.Describe().Gpus[1].QuarantinedBytes > 0);

        domain.FromRank(1).Loses = null;
        domain.Advance(2);

        QuietRules.CheckQuiet(domain);
        Assert.Equal(0, domain.Coordinator.Describe().Gpus[1].QuarantinedBytes);
    }

    [Fact]
    public void Everything_sent_twice_should_be_done_once()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        foreach (var link in domain.Links)
        {
            link.DoublesNext = 1000;
        }

        var first = engine.Grow(pool, 4);
        domain.Advance(0.1);
        engine.Free(pool, engine.GrantOf(first));
        var second = engine.Grow(pool, 2);
        domain.Advance(3);

        Assert.Equal(2 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        Assert.Equal(2, engine.GrantOf(second).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Rank_too_far_behind_should_get_the_whole_table()
    {
        var domain = new SimulatedDomain(2, settings: new() { Domain = SimulatedDomain.Name, MaxLoggedDecisions = 4 });
        var (engine, pool) = domain.AddPool("a");
        var grants = Enumerable.Range(0, 6).Select(_ => engine.Grow(pool, 1)).ToArray();
        domain.Settle();
        domain.ToRank(1).Loses = m => m is SimulatedDomain.Mail { Message: RankProtocol.Decide };
        foreach (var grant in grants)
        {
            engine.Free(pool, engine.GrantOf(grant));
            domain.Advance(2.2);
        }

        domain.ToRank(1).Loses = null;
        domain.Advance(3);

        Assert.Contains(domain.Warnings, w => w.Contains("too far behind", StringComparison.Ordinal));
        Assert.Equal(0, domain.Ranks[1].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Lost_answer_to_the_engine_should_be_given_again_and_be_the_same()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.ToEngine(engine).LosesNext = 1;

        var request = engine.Grow(pool, 4);
        domain.Settle();
        Assert.DoesNotContain(request, engine.Answers.Keys);
        domain.Advance(2.5);

        Assert.Equal(4, engine.GrantOf(request).Sum(e => e.PageCount));
        Assert.Equal(1, domain.Coordinator.Describe().Counters.Maps);
        QuietRules.CheckQuiet(domain);
    }
}
