using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Limits, floors and weights that operators change while pools are in use.</summary>
public class PolicySpecs
{
    private static long _lastTicket;

    [Fact]
    public void Limit_above_what_is_held_should_be_applied_at_once_and_kept_by_every_host()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        var (engine, pool) = domain.AddPool("a");

        var changed = Changed(domain, Change(domain, "a", limitPages: 4));

        Assert.Equal((PolicyOutcome.Applied, 1L, 2, 2), (changed.Outcome, changed.Revision, changed.KeptByHosts, changed.HostCount));
        Assert.All(changed.OnGpus, gpu => Assert.Equal(4 * TestPools.PageBytes, gpu.LimitBytes));
        Assert.All(domain.Ranks, rank => Assert.Equal(MemoryAmount.OfBytes(4 * TestPools.PageBytes), Assert.Single(rank.Policies).Limit));
        var fits = engine.Grow(pool, 4);
        domain.Settle();
        Assert.Equal(4, engine.GrantOf(fits).Sum(e => e.PageCount));
        var tooMuch = engine.Grow(pool, 1);
        domain.Settle();
        Assert.Equal(RefusalReason.LimitExceeded, engine.RefusalOf(tooMuch).Reason);
        Assert.Equal(4 * TestPools.PageBytes, domain.Coordinator.Describe().Pools[0].LimitBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Percentage_should_be_of_what_each_gpu_lends()
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        domain.AddPool("a");

        var changed = Changed(domain, Change(domain, "a", new PolicyChange(MemoryAmount.OfPercent(50), MemoryAmount.OfPercent(12.5m), 3, 0)));

        var gpu = Assert.Single(changed.OnGpus);
        Assert.Equal((4 * TestPools.PageBytes, TestPools.PageBytes), (gpu.LimitBytes, gpu.FloorBytes));
        Assert.Equal(3, domain.Coordinator.Describe().Pools[0].Weight);
    }

    [Fact]
    public void Limit_below_what_is_held_should_be_deferred_and_the_engine_shrink_without_asking()
    {
        var (domain, engine, pool, _) = FullPool();

        var ticket = Change(domain, "a", limitPages: 3);
        var refused = engine.Grow(pool, 1);
        domain.Settle();

        Assert.Equal(PolicyOutcome.Deferred, Changed(domain, ticket).Outcome);
        Assert.Equal(RefusalReason.LimitExceeded, engine.RefusalOf(refused).Reason);
        var shrink = Assert.Single(engine.Events.OfType<EngineProtocol.ShrinkRequested>());
        Assert.Equal(5 * TestPools.PageBytes, Assert.Single(shrink.Wanted).ByteCount);
        Assert.Equal(3 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        domain.Advance(0.1);
        Assert.Contains(Events(domain), e => e.Kind == DomainEventKinds.LimitReached);
        Assert.Equal(PolicyOutcome.Applied, Changed(domain, Change(domain, "a", limitPages: 3, revision: 1)).Outcome);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Warm_extents_should_be_revoked_for_a_limit_before_the_engine_is_asked_to_shrink()
    {
        var (domain, engine, pool, extents) = FullPool();
        engine.ReportWarm(pool, 1, extents[..4]);
        domain.Settle();

        Change(domain, "a", limitPages: 5);
        domain.Settle();

        Assert.Equal(3, Assert.Single(engine.Events.OfType<EngineProtocol.RevokeExtents>()).Extents.Length);
        Assert.Empty(engine.Events.OfType<EngineProtocol.ShrinkRequested>());
        Assert.Equal(5 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pages_in_use_should_stay_however_long_a_pool_is_above_its_limit_and_go_when_they_are_free()
    {
        var (domain, engine, pool, extents) = FullPool();
        engine.GivesUp = _ => false;

        Change(domain, "a", limitPages: 2);
        domain.Advance(25);

        Assert.Equal(8 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        Assert.InRange(engine.Events.OfType<EngineProtocol.ShrinkRequested>().Count(), 2, 4);
        Assert.True(Assert.Single(domain.Coordinator.Describe().Pools[0].OnGpus) is { UsedBytes: var used, LimitBytes: var limit } && used > limit);

        engine.GivesUp = _ => true;
        domain.Advance(15);
        Assert.Equal(2 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Map_that_is_under_way_when_the_limit_falls_below_it_should_be_undone()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        var (engine, pool) = domain.AddPool("a");
        domain.FromRank(1).IsHeld = true;
        var request = engine.Grow(pool, 6);
        domain.Settle();

        var ticket = Change(domain, "a", limitPages: 4);
        domain.Settle();
        domain.FromRank(1).IsHeld = false;
        domain.Settle();

        Assert.Equal(RefusalReason.LimitExceeded, engine.RefusalOf(request).Reason);
        Assert.Equal(PolicyOutcome.Deferred, Changed(domain, ticket).Outcome);
        Assert.All(domain.Ranks, rank => Assert.Equal(0, rank.MappedBytes));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Request_that_waits_for_memory_should_be_refused_when_the_limit_falls_below_it()
    {
        var (domain, holder, _, extents) = FullPool();
        var (engine, pool) = domain.AddPool("b");
        holder.GivesUp = null;
        holder.ReportWarm(holder.Held.Keys.Single(), 1, extents);
        domain.Settle();
        var waits = engine.Grow(pool, 4);
        domain.Settle();
        Assert.DoesNotContain(waits, engine.Answers.Keys);

        Change(domain, "b", limitPages: 2);
        domain.Settle();

        Assert.Equal(RefusalReason.LimitExceeded, engine.RefusalOf(waits).Reason);
    }

    [Fact]
    public void Floors_that_do_not_fit_should_be_refused_and_nothing_changed()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        domain.AddPool("a", 64, 0, floorPages: 5);
        domain.AddPool("b", 64, 0, 0, 0);

        var refused = Refused(domain, Change(domain, "b", floorPages: 4));
        Assert.Equal(RefusalReason.FloorDoesNotFit, refused.Reason);
        Assert.Equal(PolicyOutcome.Applied, Changed(domain, Change(domain, "b", floorPages: 3)).Outcome);
        Assert.Equal(RefusalReason.FloorDoesNotFit, Refused(domain, Change(domain, "a", floorPages: 6)).Reason);
        Assert.All(domain.Coordinator.Describe().Pools.Single(p => p.Name == "a").OnGpus, gpu => Assert.Equal(5 * TestPools.PageBytes, gpu.FloorBytes));
        Assert.Equal(0, domain.Coordinator.Describe().Pools.Single(p => p.Name == "a").Revision);
    }

    [Fact]
    public void Floor_that_others_hold_should_be_refused_and_say_who()
    {
        var (domain, _, _, _) = FullPool();
        domain.AddPool("b");

        var refused = Refused(domain, Change(domain, "b", floorPages: 2));

        Assert.Equal(RefusalReason.FloorDoesNotFit, refused.Reason);
        Assert.Contains("a 32 KiB", refused.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void Burst_of_one_pool_should_never_take_anothers_floor()
    {
        var domain = new SimulatedDomain(1, capacityPages: 12);
        var pools = new[] { "a", "b", "c" }.Select(name => domain.AddPool(name, 64, 0, floorPages: 4)).ToArray();
        var burst = pools[0].Engine.Grow(pools[0].Pool, 12);
        var own = pools[0].Engine.Grow(pools[0].Pool, 4);
        domain.Settle();
        Assert.Equal(RefusalReason.OutOfMemory, pools[0].Engine.RefusalOf(burst).Reason);
        Assert.Equal(4, pools[0].Engine.GrantOf(own).Sum(e => e.PageCount));

        foreach (var (engine, pool) in pools[1..])
        {
            var request = engine.Grow(pool, 4);
            domain.Settle();
            Assert.Equal(4, engine.GrantOf(request).Sum(e => e.PageCount));
        }

        QuietRules.CheckQuiet(domain);
    }

    [Theory]
    [InlineData(5, 4, 4, PolicyOutcome.Stale)]
    [InlineData(5, 5, 4, PolicyOutcome.Conflict)]
    [InlineData(5, 5, 6, PolicyOutcome.Applied)]
    [InlineData(5, 6, 4, PolicyOutcome.Applied)]
    public void Revision_should_decide_between_changes(long first, long second, int pages, PolicyOutcome expected)
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        domain.AddPool("a");
        Assert.Equal(first, Changed(domain, Change(domain, "a", limitPages: 6, revision: first)).Revision);

        var changed = Changed(domain, Change(domain, "a", limitPages: pages, revision: second));

        Assert.Equal((expected, Math.Max(first, second)), (changed.Outcome, changed.Revision));
        var inForce = second > first ? pages : 6;
        Assert.Equal(inForce * TestPools.PageBytes, Assert.Single(changed.OnGpus).LimitBytes);
    }

    [Fact]
    public void Hundred_rapid_changes_of_four_clients_should_each_be_answered_and_the_last_revision_win_everywhere()
    {
        var domain = new SimulatedDomain(2, capacityPages: 64);
        domain.AddPool("a");
        var random = new Random(5);
        var revisions = Enumerable.Range(1, 100).OrderBy(_ => random.Next()).ToArray();
        var tickets = new Dictionary<long, long>();
        foreach (var revision in revisions)
        {
            tickets.Add(Change(domain, "a", limitPages: (int)(revision % 50) + 1, revision: revision, settle: false), revision);
            if (random.Next(3) == 0)
            {
                domain.Settle();
            }
        }

        domain.Settle();
        foreach (var (ticket, revision) in tickets)
        {
            var changed = Changed(domain, ticket);
            var isLatest = revisions.TakeWhile(r => r != revision).All(earlier => earlier < revision);
            Assert.Equal(isLatest ? PolicyOutcome.Applied : PolicyOutcome.Stale, changed.Outcome);
            Assert.Equal(2, changed.KeptByHosts);
        }

        Assert.Equal(100, domain.Coordinator.Describe().Pools[0].Revision);
        Assert.Equal(((100 % 50) + 1) * TestPools.PageBytes, domain.Coordinator.Describe().Pools[0].LimitBytes);
        Assert.All(domain.Ranks, rank => Assert.Equal(100, Assert.Single(rank.Policies).Revision));
    }

    [Fact]
    public void Change_should_outlive_the_coordinator_its_hosts_and_the_pool()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        var (engine, pool) = domain.AddPool("a");
        Change(domain, "a", limitPages: 4, floorPages: 2);

        domain.TakeOver();
        domain.Settle();
        var described = domain.Coordinator.Describe().Pools[0];
        Assert.Equal((4 * TestPools.PageBytes, 2 * TestPools.PageBytes, 1L), (described.LimitBytes, described.FloorBytes, described.Revision));

        engine.Close(pool);
        domain.Settle();
        domain.RestartRank(0);
        domain.RestartRank(1);
        domain.TakeOver();
        domain.Advance(1);
        var (_, again) = domain.AddPool("a");
        Assert.NotEqual(pool, again);
        described = domain.Coordinator.Describe().Pools[0];
        Assert.Equal((4 * TestPools.PageBytes, 2 * TestPools.PageBytes, 1L), (described.LimitBytes, described.FloorBytes, described.Revision));
    }

    [Fact]
    public void Host_that_missed_a_change_should_be_told_when_it_is_back_and_not_undo_it()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        domain.AddPool("a", 64, 0, 0, 0);
        Change(domain, "a", limitPages: 6);
        domain.KillHost(1, isNoticed: true);

        // A new coordinator that misses a host waits for one lease: that host may know of a later change.
        Assert.Equal(RefusalReason.Recovering, Refused(domain, Change(domain, "a", limitPages: 5)).Reason);
        domain.Advance(16);
        var changed = Changed(domain, Change(domain, "a", limitPages: 4));
        Assert.Equal((1, 1), (changed.KeptByHosts, changed.HostCount));
        domain.TakeOver();
        domain.Advance(20);

        domain.ReviveHost(1);
        domain.Advance(1);

        Assert.Equal(4 * TestPools.PageBytes, domain.Coordinator.Describe().Pools[0].LimitBytes);
        Assert.Equal(2, Assert.Single(domain.Ranks[1].Policies).Revision);
    }

    [Fact]
    public void Lost_answers_of_hosts_should_only_delay_the_outcome()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        domain.AddPool("a");
        domain.ToRank(0).LosesNext = 1;
        domain.FromRank(1).LosesNext = 1;

        var ticket = Change(domain, "a", limitPages: 4);
        Assert.DoesNotContain(ticket, domain.OperatorReplies.Keys);
        domain.Advance(1.2);

        Assert.Equal(2, Changed(domain, ticket).KeptByHosts);
    }

    [Fact]
    public void Host_that_cannot_write_should_be_counted_as_not_keeping_it()
    {
        var domain = new SimulatedDomain(2, capacityPages: 8);
        domain.AddPool("a");
        domain.Ranks[1].KeepsNothing = true;

        var ticket = Change(domain, "a", limitPages: 4);
        domain.Advance(3);

        Assert.Equal((PolicyOutcome.Applied, 1, 2), (Changed(domain, ticket).Outcome, Changed(domain, ticket).KeptByHosts, Changed(domain, ticket).HostCount));
        Assert.Contains(domain.Warnings, warning => warning.Contains("its disk is full", StringComparison.Ordinal));
    }

    [Fact]
    public void Default_should_make_the_engines_wish_count_again()
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        domain.AddPool("a", 64, limitPages: 6, floorPages: 2);
        Change(domain, "a", limitPages: 3, floorPages: 1);

        var changed = Changed(domain, Change(domain, "a", new PolicyChange(MemoryAmount.AsOpened, MemoryAmount.AsOpened, PolicyChange.WeightAsOpened, 0)));

        Assert.Equal(2, changed.Revision);
        var gpu = Assert.Single(changed.OnGpus);
        Assert.Equal((6 * TestPools.PageBytes, 2 * TestPools.PageBytes), (gpu.LimitBytes, gpu.FloorBytes));
    }

    public static TheoryData<string, PolicyChange, RefusalReason> Nonsense => new()
    {
        { "b", new PolicyChange(MemoryAmount.OfBytes(1), default, 0, 0), RefusalReason.UnknownPool },
        { "a", default, RefusalReason.BadLimit },
        { "a", new PolicyChange(MemoryAmount.OfBytes(-1), default, 0, 0), RefusalReason.BadLimit },
        { "a", new PolicyChange(MemoryAmount.OfPercent(101), default, 0, 0), RefusalReason.BadLimit },
        { "a", new PolicyChange(new MemoryAmount((MemoryUnit)9, 1), default, 0, 0), RefusalReason.BadLimit },
        { "a", new PolicyChange(default, default, -2, 0), RefusalReason.BadLimit },
        { "a", new PolicyChange(default, default, 1_000_001, 0), RefusalReason.BadLimit },
        { "a", new PolicyChange(MemoryAmount.OfBytes(1), default, 0, -1), RefusalReason.BadLimit },
        { "a", new PolicyChange(MemoryAmount.OfBytes(4096), default, 0, 0), RefusalReason.BadLimit },
        { "a", new PolicyChange(MemoryAmount.OfBytes(4096), MemoryAmount.OfBytes(8192), 0, 0), RefusalReason.BadLimit },
    };

    [Theory]
    [MemberData(nameof(Nonsense))]
    public void Change_that_makes_no_sense_should_be_refused_and_change_nothing(string name, PolicyChange change, RefusalReason reason)
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        domain.AddPool("a", 64, 0, floorPages: 2);
        var before = domain.Coordinator.Describe().Pools[0];

        Assert.Equal(reason, Refused(domain, Change(domain, name, change)).Reason);

        var after = domain.Coordinator.Describe().Pools[0];
        Assert.Equal((before.LimitBytes, before.FloorBytes, before.Weight, before.Revision), (after.LimitBytes, after.FloorBytes, after.Weight, after.Revision));
        Assert.Empty(domain.Ranks[0].Policies);
    }

    [Fact]
    public void Trim_should_take_what_is_warm_beyond_the_floor_and_tell_how_much()
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        var (engine, pool) = domain.AddPool("a", 64, 0, floorPages: 2);
        var grant = engine.Grow(pool, 8);
        domain.Settle();
        engine.ReportWarm(pool, 1, [.. engine.GrantOf(grant)]);
        domain.Settle();
        engine.GivesUp = extent => extent.First.Value != 0;

        var ticket = Trim(domain, pool.ToString(), 0);

        var trimmed = Assert.IsType<OperatorProtocol.PoolTrimmed>(domain.OperatorReplies[ticket]);
        Assert.Equal(6 * TestPools.PageBytes, trimmed.AskedBytes);
        Assert.Equal(domain.Ranks[0].MappedBytes, (8 * TestPools.PageBytes) - trimmed.GivenBytes);
        Assert.InRange(trimmed.GivenBytes, 5 * TestPools.PageBytes, 6 * TestPools.PageBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Trim_should_be_answered_when_nothing_is_warm_or_the_engine_says_nothing()
    {
        var (domain, engine, pool, extents) = FullPool();
        Assert.Equal(0, Assert.IsType<OperatorProtocol.PoolTrimmed>(domain.OperatorReplies[Trim(domain, "a", 0)]).AskedBytes);

        engine.GivesUp = null;
        engine.ReportWarm(pool, 1, extents);
        domain.Settle();
        var ticket = Trim(domain, "a", TestPools.PageBytes);
        Assert.DoesNotContain(ticket, domain.OperatorReplies.Keys);
        domain.Advance(0.3);
        Assert.Equal((TestPools.PageBytes, 0L), domain.OperatorReplies[ticket] is OperatorProtocol.PoolTrimmed t ? (t.AskedBytes, t.GivenBytes) : default);
    }

    [Fact]
    public void Events_should_be_read_from_where_a_reader_left_off_and_anew_from_another_coordinator()
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        domain.AddPool("a");
        Change(domain, "a", limitPages: 4);

        var all = domain.Coordinator.ReadEvents(domain.Now, new OperatorProtocol.ReadEvents(default, 0));
        Assert.Equal(
            [DomainEventKinds.CoordinatorStarted, DomainEventKinds.HostJoined, DomainEventKinds.PoolOpened, DomainEventKinds.PolicyChanged],
            all.Events.Select(e => e.Kind));
        Assert.All(all.Events, e => Assert.Contains(e.Kind, DomainEventKinds.All));
        Assert.Empty(domain.Coordinator.ReadEvents(domain.Now, new OperatorProtocol.ReadEvents(all.Epoch, all.LastSerial)).Events);
        Assert.Single(domain.Coordinator.ReadEvents(domain.Now, new OperatorProtocol.ReadEvents(all.Epoch, all.LastSerial - 1)).Events);

        domain.TakeOver();
        domain.Settle();
        var anew = domain.Coordinator.ReadEvents(domain.Now, new OperatorProtocol.ReadEvents(all.Epoch, all.LastSerial));
        Assert.Equal(DomainEventKinds.CoordinatorStarted, anew.Events[0].Kind);
        Assert.NotEqual(all.Epoch, anew.Epoch);
    }

    private static List<DomainEvent> Events(SimulatedDomain domain) =>
        [.. domain.Coordinator.ReadEvents(domain.Now, new OperatorProtocol.ReadEvents(default, 0)).Events];

    private static long Change(SimulatedDomain domain, string pool, int limitPages = -1, int floorPages = -1, long revision = 0, bool settle = true) => Change(
        domain, pool,
        new PolicyChange(
            limitPages < 0 ? default : MemoryAmount.OfBytes(limitPages * TestPools.PageBytes),
            floorPages < 0 ? default : MemoryAmount.OfBytes(floorPages * TestPools.PageBytes), 0, revision),
        settle);

    private static long Change(SimulatedDomain domain, string pool, PolicyChange change, bool settle = true)
    {
        var ticket = Interlocked.Increment(ref _lastTicket);
        domain.Coordinator.ChangePolicy(domain.Now, ticket, new OperatorProtocol.ChangePolicy(pool, change));
        Settle(domain, settle);
        return ticket;
    }

    private static long Trim(SimulatedDomain domain, string pool, long bytes)
    {
        var ticket = Interlocked.Increment(ref _lastTicket);
        domain.Coordinator.TrimPool(domain.Now, ticket, new OperatorProtocol.TrimPool(pool, bytes));
        Settle(domain, true);
        return ticket;
    }

    private static void Settle(SimulatedDomain domain, bool settle)
    {
        Assert.Null(domain.Coordinator.FindImbalance());
        if (settle)
        {
            domain.Settle();
        }
    }

    private static OperatorProtocol.PolicyChanged Changed(SimulatedDomain domain, long ticket) =>
        Assert.IsType<OperatorProtocol.PolicyChanged>(domain.OperatorReplies.GetValueOrDefault(ticket));

    private static Refusal Refused(SimulatedDomain domain, long ticket) =>
        Assert.IsType<OperatorProtocol.OperatorRefused>(domain.OperatorReplies.GetValueOrDefault(ticket)).Refusal;

    /// <summary>One GPU of 8 pages, all granted to pool <c>a</c> as extents of one page.</summary>
    private static (SimulatedDomain Domain, SimulatedEngine Engine, PoolId Pool, Extent[] Extents) FullPool()
    {
        var domain = new SimulatedDomain(1, capacityPages: 8);
        var (engine, pool) = domain.AddPool("a");
        var grant = engine.Grow(pool, 8);
        domain.Settle();
        return (domain, engine, pool, [.. engine.GrantOf(grant)]);
    }
}
