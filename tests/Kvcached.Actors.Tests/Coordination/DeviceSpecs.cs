using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Programs that aren't pools take memory of a GPU, and give it back.</summary>
public class DeviceSpecs
{
    private const int Pages = 8;

    [Fact]
    public void Growth_should_be_refused_with_who_uses_the_device_when_there_is_no_room()
    {
        var domain = new SimulatedDomain(2, capacityPages: Pages);
        var (engine, pool) = domain.AddPool("a");
        LeaveRoom(domain, 1, pages: 3);

        var refused = engine.Grow(pool, 4);
        var granted = engine.Grow(pool, 3);
        domain.Settle();

        var refusal = engine.RefusalOf(refused);
        Assert.Equal((RefusalReason.DeviceShort, 3 * TestPools.PageBytes), (refusal.Reason, refusal.FreeBytes));
        Assert.Contains("others use 16 KiB of the device's 32 KiB, 4 KiB is kept free, 12 KiB is left to pools", refusal.Detail, StringComparison.Ordinal);
        Assert.Equal(3, engine.GrantOf(granted).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Warm_extents_should_be_given_back_first_and_engines_asked_for_the_rest_only()
    {
        var (domain, engine, pool, extents) = FullGpu();
        engine.ReportWarm(pool, 1, extents[..2]);
        domain.Settle();

        LeaveRoom(domain, 0, pages: 5);

        Assert.Equal(extents[..2].ToHashSet(), Assert.Single(engine.Events.OfType<EngineProtocol.RevokeExtents>()).Extents.ToHashSet());
        var shrink = Assert.Single(engine.Events.OfType<EngineProtocol.ShrinkRequested>());
        Assert.Equal(new GpuBytes(domain.Ranks[0].Gpu, TestPools.PageBytes), Assert.Single(shrink.Wanted));
        Assert.Equal(5 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        Assert.Equal([DomainEventKinds.DeviceShort, DomainEventKinds.DeviceEased], DeviceEvents(domain));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pages_in_use_should_stay_and_everyone_be_refused_at_once_until_the_device_has_room()
    {
        var (domain, holder, theirs, extents) = FullGpu();
        var (engine, pool) = domain.AddPool("a");
        holder.GivesUp = null;
        LeaveRoom(domain, 0, pages: 5);
        Assert.Equal(8 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        Assert.True(domain.Coordinator.Describe().Gpus[0].IsDeviceShort);

        // What comes back is the strangers', not the next one's.
        var refused = engine.Grow(pool, 1);
        domain.Settle();
        Assert.Equal(RefusalReason.DeviceShort, engine.RefusalOf(refused).Reason);
        holder.Free(theirs, [.. extents[..2]]);
        domain.Settle();
        refused = engine.Grow(pool, 1);
        domain.Settle();
        Assert.Equal(RefusalReason.DeviceShort, engine.RefusalOf(refused).Reason);

        LeaveRoom(domain, 0, pages: 7);
        var granted = engine.Grow(pool, 1);
        domain.Settle();
        Assert.Single(engine.GrantOf(granted));
        Assert.False(domain.Coordinator.Describe().Gpus[0].IsDeviceShort);
        holder.GivesUp = _ => true;
        domain.Advance(2);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Floor_should_be_had_however_little_room_there_is_and_no_new_one_be_promised()
    {
        var domain = new SimulatedDomain(1, capacityPages: Pages);
        var (engine, pool) = domain.AddPool("a", floorPages: 3);
        LeaveRoom(domain, 0, pages: 0);

        var granted = engine.Grow(pool, 3);
        domain.Settle();
        Assert.Equal(3, engine.GrantOf(granted).Sum(e => e.PageCount));
        Assert.Empty(engine.Events.OfType<EngineProtocol.ShrinkRequested>());

        var other = domain.AddEngine("b");
        var refused = other.Open(TestPools.Spec("b", [domain.Ranks[0].Gpu], floorBytes: TestPools.PageBytes));
        domain.Settle();
        Assert.Equal(RefusalReason.DeviceShort, other.RefusalOf(refused).Reason);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Pools_should_give_the_same_part_of_what_they_hold_above_floors()
    {
        var domain = new SimulatedDomain(1, capacityPages: 12);
        var (first, a) = domain.AddPool("a");
        var (second, b) = domain.AddPool("b", floorPages: 2);
        first.Grow(a, 6);
        second.Grow(b, 5);
        domain.Settle();

        LeaveRoom(domain, 0, pages: 8, of: 12);

        Assert.Equal(2 * TestPools.PageBytes, Assert.Single(first.Events.OfType<EngineProtocol.ShrinkRequested>()).Wanted[0].ByteCount);
        Assert.Equal(1 * TestPools.PageBytes, Assert.Single(second.Events.OfType<EngineProtocol.ShrinkRequested>()).Wanted[0].ByteCount);
        Assert.Equal(8 * TestPools.PageBytes, domain.Ranks[0].MappedBytes);
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void Request_that_waits_for_a_shrinking_pool_should_be_served_from_room_that_strangers_leave()
    {
        var domain = new SimulatedDomain(1, capacityPages: Pages);
        var (holder, theirs) = domain.AddPool("b");
        holder.GivesUp = null;
        LeaveRoom(domain, 0, pages: 6);
        holder.Grow(theirs, 6);
        domain.Settle();
        var (engine, pool) = domain.AddPool("a");
        var waits = engine.Grow(pool, 2);
        domain.Settle();
        Assert.DoesNotContain(waits, engine.Answers.Keys);

        LeaveRoom(domain, 0, pages: 8);
        Assert.Equal(2, engine.GrantOf(waits).Sum(e => e.PageCount));
        QuietRules.CheckQuiet(domain);
    }

    [Fact]
    public void New_coordinator_should_learn_of_strangers_and_keep_every_floor()
    {
        var domain = new SimulatedDomain(1, capacityPages: Pages);
        domain.AddPool("a", floorPages: 3);
        var (engine, pool) = domain.AddPool("b");
        engine.Grow(pool, 2);
        domain.Settle();
        LeaveRoom(domain, 0, pages: 1);

        domain.TakeOver();
        domain.Advance(3);

        var described = domain.Coordinator.Describe();
        Assert.Equal(domain.Ranks[0].Device, described.Gpus[0].Device);
        Assert.Equal(3 * TestPools.PageBytes, described.Pools.Single(p => p.Name == "a").FloorBytes);
        Assert.DoesNotContain(domain.Warnings, warning => warning.Contains("floor", StringComparison.Ordinal));
        var refused = engine.Grow(pool, 1);
        domain.Settle();
        Assert.Equal(RefusalReason.DeviceShort, engine.RefusalOf(refused).Reason);
        QuietRules.CheckQuiet(domain);
    }

    /// <summary>The rank says that others leave so much of its device, with one page kept free.</summary>
    private static void LeaveRoom(SimulatedDomain domain, int rank, int pages, int of = Pages)
    {
        domain.Ranks[rank].Device = new DeviceShare(of * TestPools.PageBytes, (of - 1 - pages) * TestPools.PageBytes, TestPools.PageBytes);
        domain.Register(domain.Ranks[rank]);
        domain.Settle();
        domain.Advance(0.1);
    }

    private static IEnumerable<string> DeviceEvents(SimulatedDomain domain) =>
        domain.Coordinator.ReadEvents(domain.Now, new OperatorProtocol.ReadEvents(default, 0)).Events
            .Select(happened => happened.Kind).Where(kind => kind is DomainEventKinds.DeviceShort or DomainEventKinds.DeviceEased);

    private static (SimulatedDomain Domain, SimulatedEngine Holder, PoolId Pool, Extent[] Extents) FullGpu()
    {
        var domain = new SimulatedDomain(1, capacityPages: Pages);
        var (holder, pool) = domain.AddPool("b");
        var grant = holder.Grow(pool, Pages);
        domain.Settle();
        return (domain, holder, pool, [.. holder.GrantOf(grant)]);
    }
}
