using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Requests get one answer each, whatever their numbers say.</summary>
public class RequestSpecs
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(0, -1)]
    [InlineData(0, int.MinValue)]
    [InlineData(0, int.MaxValue)]
    [InlineData(0, 257)]
    [InlineData(-1, 1)]
    [InlineData(1, 1)]
    [InlineData(int.MaxValue, 1)]
    public void Nonsense_counts_and_groups_should_be_refused_and_change_nothing(int group, int pageCount)
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");

        var request = engine.Grow(pool, pageCount, group: group);
        domain.Settle();

        Assert.Equal(RefusalReason.InvalidCount, engine.RefusalOf(request).Reason);
        Assert.Equal(0, domain.Coordinator.Describe().Counters.Decisions);
        QuietRules.CheckQuiet(domain);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(301)]
    [InlineData(1e9)]
    public void Nonsense_deadlines_should_be_refused(double seconds)
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");

        var request = engine.Grow(pool, 1, seconds);
        domain.Settle();

        Assert.Equal(RefusalReason.InvalidCount, engine.RefusalOf(request).Reason);
    }

    [Fact]
    public void Unknown_and_foreign_pools_should_be_refused()
    {
        var domain = new SimulatedDomain(1);
        var (engine, _) = domain.AddPool("a");
        var (other, theirs) = domain.AddPool("b");
        var grant = other.Grow(theirs, 1);
        domain.Settle();

        var unknown = engine.Grow(new PoolId(-1), 1);
        var foreign = engine.Grow(theirs, 1);
        var freed = engine.Free(theirs, other.GrantOf(grant));
        var closed = engine.Close(theirs);
        domain.Settle();

        Assert.All([unknown, foreign, freed, closed], r => Assert.Equal(RefusalReason.UnknownPool, engine.RefusalOf(r).Reason));
        Assert.Equal(TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Request_id_with_another_body_should_be_refused_and_its_first_answer_stand()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");
        domain.ToEngine(engine).Loses = m => m is EngineProtocol.PagesAllocated;
        var request = engine.Grow(pool, 2);
        domain.Settle();
        domain.ToEngine(engine).Loses = null;

        domain.FromEngine(engine, new EngineProtocol.AllocatePages(engine.Session, request, new RequestId(1), pool, 0, 3, TimeSpan.FromSeconds(5)));
        domain.FromEngine(engine, new EngineProtocol.ClosePool(engine.Session, request, new RequestId(1), pool));
        domain.ToEngine(engine).IsHeld = true;
        domain.Settle();

        Assert.Equal(2, domain.ToEngine(engine).Sent.OfType<EngineProtocol.RequestRefused>().Count(r => r.Refusal.Reason == RefusalReason.RequestIdReused));
        domain.FromEngine(engine, new EngineProtocol.AllocatePages(engine.Session, request, new RequestId(1), pool, 0, 2, TimeSpan.FromSeconds(9)));
        domain.Settle();
        var again = Assert.IsType<EngineProtocol.PagesAllocated>(domain.ToEngine(engine).Sent[^1]);
        Assert.True(domain.Ranks[0].Pools[pool].Mapped.SetEquals(again.Extents));
    }

    [Fact]
    public void Retry_while_its_request_is_under_way_should_not_be_carried_out_twice()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        domain.ToRank(1).IsHeld = true;
        domain.FromEngine(engine).DoublesNext = 3;
        var request = engine.Grow(pool, 2);
        domain.Settle();

        domain.ToRank(1).IsHeld = false;
        domain.Settle();

        Assert.Equal(1, domain.Coordinator.Describe().Counters.Maps);
        Assert.Equal(2, engine.GrantOf(request).Sum(e => e.PageCount));
    }

    [Fact]
    public void Acknowledged_request_should_not_be_carried_out_again()
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");
        engine.Grow(pool, 2);
        domain.Settle();
        var first = domain.FromEngine(engine).Sent.OfType<EngineProtocol.AllocatePages>().Single();
        engine.Grow(pool, 1);
        domain.Settle();

        domain.FromEngine(engine, first);
        domain.Settle();

        var refused = Assert.IsType<EngineProtocol.RequestRefused>(domain.ToEngine(engine).Sent[^1]);
        Assert.Equal(RefusalReason.RequestIdReused, refused.Refusal.Reason);
        Assert.Equal(3 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-5)]
    [InlineData(long.MinValue)]
    public void Request_ids_below_1_should_be_refused(long id)
    {
        var domain = new SimulatedDomain(1);
        var (engine, pool) = domain.AddPool("a");

        domain.FromEngine(engine, new EngineProtocol.AllocatePages(engine.Session, new RequestId(id), default, pool, 0, 1, TimeSpan.FromSeconds(5)));
        domain.Settle();

        Assert.Equal(RefusalReason.RequestIdReused, Assert.IsType<EngineProtocol.RequestRefused>(domain.ToEngine(engine).Sent[^1]).Refusal.Reason);
        Assert.Equal(0, domain.Ranks[0].MappedBytes);
    }

    [Fact]
    public void Too_many_waiting_requests_should_be_refused_as_busy()
    {
        var domain = new SimulatedDomain(1, settings: new() { Domain = SimulatedDomain.Name, MaxWaitingRequestsPerPool = 3 });
        var (engine, pool) = domain.AddPool("a");
        domain.ToRank(0).IsHeld = true;

        var requests = Enumerable.Range(0, 5).Select(_ => engine.Grow(pool, 1)).ToArray();
        domain.Settle();
        Assert.Equal(RefusalReason.Busy, engine.RefusalOf(requests[4]).Reason);

        domain.ToRank(0).IsHeld = false;
        domain.Settle();
        Assert.All(requests[..4], r => Assert.Single(engine.GrantOf(r)));
    }

    [Fact]
    public void Too_many_unacknowledged_answers_should_be_refused_as_busy()
    {
        var domain = new SimulatedDomain(1, settings: new() { Domain = SimulatedDomain.Name, MaxUnackedAnswersPerSession = 4 });
        var (engine, pool) = domain.AddPool("a");
        domain.ToEngine(engine).IsHeld = true;
        for (var id = 10; id < 15; id++)
        {
            domain.FromEngine(engine, new EngineProtocol.AllocatePages(engine.Session, new RequestId(id), new RequestId(1), pool, 0, 1, TimeSpan.FromSeconds(5)));
        }

        domain.Settle();

        Assert.Equal(4 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        Assert.Equal(RefusalReason.Busy, domain.ToEngine(engine).Sent.OfType<EngineProtocol.RequestRefused>().Single().Refusal.Reason);
    }

    [Fact]
    public void Return_whose_turn_does_not_come_should_be_answered_and_carried_out_later()
    {
        var domain = new SimulatedDomain(2);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 4);
        domain.Settle();
        domain.ToRank(1).Loses = m => m is SimulatedDomain.Mail { Message: RankProtocol.InstallTable };
        domain.Ranks[1].ShowsWrongDigests = 1;
        engine.Grow(pool, 1);
        domain.Settle();

        var freed = engine.Free(pool, engine.GrantOf(grant));
        domain.Advance(10.1);
        Assert.IsType<EngineProtocol.ExtentsFreed>(engine.Answers[freed]);
        Assert.NotEqual(0, domain.Ranks[1].MappedBytes);

        domain.ToRank(1).Loses = null;
        domain.Advance(1.1);
        Assert.Equal(0, domain.Ranks[1].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }
}
