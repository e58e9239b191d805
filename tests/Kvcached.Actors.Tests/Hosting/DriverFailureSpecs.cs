using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Memory;

namespace Kvcached.Actors.Tests.Hosting;

/// <summary>
/// On one rank of two, every driver call that a pool's life takes is made to fail, one after the other: the engine is told why, both ranks end with the
/// same table, nothing is left over, and what is asked next works.
/// </summary>
public sealed class DriverFailureSpecs(HostPair hosts) : IClassFixture<HostPair>
{
    public static TheoryData<PoolTarget, int> TargetsAndRanks { get; } = new()
    {
        { PoolTarget.Host, 0 }, { PoolTarget.Host, 1 }, { PoolTarget.Worker, 0 }, { PoolTarget.Worker, 1 },
    };

    [Theory]
    [MemberData(nameof(TargetsAndRanks))]
    public async Task Each_call_of_opening_may_fail(PoolTarget target, int rank)
    {
        var calls = await ForEachCallAsync(target, rank, DriverCode.Unknown, null, async (scene, fault) =>
        {
            fault.Plan();
            var opened = await scene.TryOpenAsync(floorPages: 3);
            fault.End();
            if (fault.WasMet)
            {
                Assert.Equal(RefusalReason.DriverFailed, opened?.Reason);
                Assert.Null(await scene.TryOpenAsync(floorPages: 3));
            }
        });

        // A range where hosts map, and in both cases the floor: two extents of two pieces each, or more and smaller ones.
        Assert.InRange(calls, 2, 20);
    }

    [Theory]
    [MemberData(nameof(TargetsAndRanks))]
    public async Task Each_call_of_a_map_may_fail(PoolTarget target, int rank)
    {
        var calls = await ForEachCallAsync(target, rank, DriverCode.Unknown, null, async (scene, fault) =>
        {
            Assert.Null(await scene.TryOpenAsync());
            var kept = await scene.GrowAsync(1);
            fault.Plan();
            var refused = await scene.TryGrowAsync(3);
            fault.End();
            if (fault.WasMet)
            {
                Assert.True(refused?.Reason is RefusalReason.DriverFailed or RefusalReason.Busy, $"{refused}");
                await scene.AgreeAsync(kept);
            }
        });

        // Two extents of two mapping units each: memory for each unit, then its mapping and its access, or its descriptor.
        Assert.Equal(target == PoolTarget.Host ? 12 : 8, calls);
    }

    [Theory]
    [MemberData(nameof(TargetsAndRanks))]
    public async Task Each_call_of_an_unmap_may_fail(PoolTarget target, int rank)
    {
        var calls = await ForEachCallAsync(target, rank, DriverCode.Unknown, null, async (scene, fault) =>
        {
            Assert.Null(await scene.TryOpenAsync());
            await scene.GrowAsync(3);
            fault.Plan();
            await scene.TrimAsync();
            fault.End();
            await scene.AgreeAsync([]);
        });

        // What a worker unmaps is kept here for the next map.
        Assert.Equal(target == PoolTarget.Host ? 4 : 0, calls);
    }

    [Theory]
    [MemberData(nameof(TargetsAndRanks))]
    public async Task Each_call_of_closing_may_fail(PoolTarget target, int rank)
    {
        var calls = await ForEachCallAsync(target, rank, DriverCode.Unknown, null, async (scene, fault) =>
        {
            Assert.Null(await scene.TryOpenAsync());
            await scene.GrowAsync(3);
            fault.Plan();
            await scene.CloseAsync();
            fault.End();
            hosts.AssertEmpty();
            Assert.Null(await scene.TryOpenAsync());
        });

        // Four units are unmapped where hosts map and released in any case, and the range is given back.
        Assert.Equal(target == PoolTarget.Host ? 9 : 4, calls);
    }

    [Theory]
    [MemberData(nameof(TargetsAndRanks))]
    public async Task One_rank_may_run_out_of_memory_at_each_piece(PoolTarget target, int rank)
    {
        var calls = await ForEachCallAsync(target, rank, DriverCode.OutOfMemory, VirtualMemoryOperation.Create, async (scene, fault) =>
        {
            Assert.Null(await scene.TryOpenAsync());
            var kept = await scene.GrowAsync(1);
            fault.Plan();
            var refused = await scene.TryGrowAsync(3);
            fault.End();
            if (fault.WasMet)
            {
                Assert.Equal(RefusalReason.OutOfMemory, refused?.Reason);
                Assert.Contains(TestPools.Gpu(rank).ToString(), refused!.Detail, StringComparison.Ordinal);
                await scene.AgreeAsync(kept);
            }
        });

        Assert.Equal(4, calls);
    }

    /// <summary>What can't even be undone is blocked on both ranks and counted, and comes back with the driver.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_map_that_can_neither_be_finished_nor_undone_blocks_its_pages_alone(int rank)
    {
        await using var scene = await Scene.StartAsync(hosts, PoolTarget.Host);
        Assert.Null(await scene.TryOpenAsync());
        var memory = hosts[rank].Memory;
        memory.FailNth(VirtualMemoryOperation.SetAccess, 2, DriverCode.Unknown);
        memory.FailAll(VirtualMemoryOperation.Unmap, DriverCode.NotPermitted);

        Assert.Equal(RefusalReason.DriverFailed, (await scene.TryGrowAsync(3))?.Reason);
        await scene.AgreeAsync([], quarantinedOn: rank);
        var granted = await scene.GrowAsync(3);
        await scene.AgreeAsync(granted, quarantinedOn: rank);

        memory.Heal();
        await scene.AgreeAsync(granted);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_worker_that_can_not_map_has_the_map_undone_on_both_ranks(int rank)
    {
        await using var scene = await Scene.StartAsync(hosts, PoolTarget.Worker);
        Assert.Null(await scene.TryOpenAsync());
        var worker = scene.Workers[rank];
        worker.RefusesMap = new Refusal(RefusalReason.DriverFailed, "Its driver has a bad day.");

        var refused = await scene.TryGrowAsync(3);
        Assert.Equal((RefusalReason.DriverFailed, "Its driver has a bad day."), (refused?.Reason, refused?.Detail));
        await scene.AgreeAsync([]);
        worker.Sticks = _ => true;
        Assert.Equal(RefusalReason.DriverFailed, (await scene.TryGrowAsync(3))?.Reason);
        await scene.AgreeAsync([], quarantinedOn: rank);

        worker.RefusesMap = null;
        worker.Sticks = _ => false;
        var granted = await scene.GrowAsync(3);
        await scene.AgreeAsync(granted, quarantinedOn: rank);
        worker.ReleaseStuck();
        await scene.AgreeAsync(granted);
    }

    /// <summary>Acts out a scene with the first call failing, then the second, until none is left to fail; says how many there were.</summary>
    private async Task<int> ForEachCallAsync(PoolTarget target, int rank, DriverCode code, VirtualMemoryOperation? operation, Func<Scene, Fault, Task> act)
    {
        for (var call = 1; call < 100; call++)
        {
            var fault = new Fault(hosts[rank].Memory, operation, call, code);
            await using (var scene = await Scene.StartAsync(hosts, target))
            {
                await act(scene, fault);
                var held = await scene.HeldAsync();
                ImmutableArray<Extent> all = [.. held, .. await scene.GrowAsync(2)];
                await scene.AgreeAsync(all);
            }

            if (!fault.WasMet)
            {
                return call - 1;
            }
        }

        throw new InvalidOperationException("The calls never end.");
    }
}
