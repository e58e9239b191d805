using Kvcached.Core.Geometry;
using Kvcached.Core.Paging;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Pools;
using static Kvcached.Gpu.DeviceCheck.Checks.PoolBench;

namespace Kvcached.Gpu.DeviceCheck.Checks;

/// <summary>What the page pool promises when all goes well.</summary>
internal static class PagePoolChecks
{
    internal static IReadOnlyList<Check> All { get; } =
    [
        new("Every_layout_maps_writes_and_unmaps_extents_of_all_groups", EveryLayoutWorks),
        new("Kept_memory_is_used_again_by_its_own_pool", KeptIsReused),
        new("Memory_that_passes_to_another_pool_is_blank", PassedMemoryIsBlank),
        new("A_floor_is_there_when_others_have_taken_the_rest", FloorIsThere),
        new("A_floor_serves_extents_of_another_size", FloorServesOtherSizes),
        new("Mapping_is_all_or_nothing_when_memory_runs_out", MappingIsAllOrNothing),
        new("Exported_extents_show_the_same_bytes_elsewhere", ExportShowsSameBytes),
        new("A_restarted_host_adopts_what_its_worker_hands_back", RestartedHostAdopts),
        new("Closing_gives_everything_back", ClosingGivesBack),
        new("Extents_for_a_worker_need_no_addresses_here", WorkerNeedsNoAddresses),
    ];

    private static void EveryLayoutWorks(ICheckRig rig)
    {
        foreach (var layout in Layouts)
        {
            using var bench = new PoolBench(rig, 128);
            var pool = bench.Open(1, layout);
            Extent[] extents = [ExtentOf(0, 0, 0), ExtentOf(0, 4, 2), ExtentOf(1, 8, 1), ExtentOf(1, LatentVirtualPages - 1, 0), ExtentOf(0, FullVirtualPages - 1, 0)];
            Map(pool, [.. extents]);
            for (var i = 0; i < extents.Length; i++)
            {
                Expect.That(Paint.IsBlank(rig.Probe, pool, extents[i]), $"{layout}: {extents[i]} isn't blank");
                Paint.Put(rig.Probe, pool, extents[i], 1000 * i);
            }

            for (var i = 0; i < extents.Length; i++)
            {
                Expect.That(Paint.IsOn(rig.Probe, pool, extents[i], 1000 * i), $"{layout}: {extents[i]} was overwritten");
            }

            Expect.Equal(extents.Sum(e => pool.Layout.BytesOf(e)), bench.SnapshotOf(pool).MappedBytes, $"{layout}: bytes mapped");
            bench.ExpectBalance();
            Unmap(pool, keep: false, [.. extents]);
            foreach (var unit in pool.Layout.UnitsOf(0))
            {
                Expect.Equal(MemoryAccess.None, rig.Probe.AccessOf(pool.BaseAddress + (nint)unit.OffsetOf(extents[0])), $"{layout}: access after unmapping");
            }

            Expect.Equal(0L, bench.Pool.Snapshot().HeldBytes, $"{layout}: bytes held");
        }
    }

    private static void KeptIsReused(ICheckRig rig)
    {
        using var bench = new PoolBench(rig, 64);
        var pool = bench.Open(1, KvLayout.Grouped);
        Map(pool, ExtentOf(0, 0, 1));
        Paint.Put(rig.Probe, pool, ExtentOf(0, 0, 1), 5);
        var identity = pool.IdentityOf(ExtentOf(0, 0, 1));
        Unmap(pool, keep: true, ExtentOf(0, 0, 1));
        Expect.Equal(12 * rig.PageBytes, bench.SnapshotOf(pool).KeptBytes, "bytes kept");
        var createCalls = bench.Memory.CallCount(VirtualMemoryOperation.Create);
        var mapped = Map(pool, ExtentOf(0, 8, 1, 2));
        Expect.Equal(1, mapped.ReusedCount, "extents from kept memory");
        Expect.Equal(createCalls, bench.Memory.CallCount(VirtualMemoryOperation.Create), "calls to create");
        Expect.That(Paint.IsOn(rig.Probe, pool, ExtentOf(0, 8, 1, 2), 5), "the kept memory isn't the pool's own");
        Expect.Equal(identity!.Value with { Generation = 2 }, pool.IdentityOf(ExtentOf(0, 8, 1, 2)), "identity of the memory");
    }

    private static void PassedMemoryIsBlank(ICheckRig rig)
    {
        foreach (var keep in (bool[])[false, true])
        {
            using var bench = new PoolBench(rig, 48);
            var (a, b) = (bench.Open(1, KvLayout.Contiguous), bench.Open(2, KvLayout.Contiguous));
            for (var round = 0u; round < 4; round++)
            {
                var (from, to) = round % 2 == 0 ? (a, b) : (b, a);
                var extent = ExtentOf(0, 0, 3, round + 1);
                Map(from, extent);
                Expect.That(Paint.IsBlank(rig.Probe, from, extent), $"round {round}: memory of another pool shows its data");
                Paint.Put(rig.Probe, from, extent, 77);
                Unmap(from, keep, extent);
                Map(to, extent);
                Expect.That(Paint.IsBlank(rig.Probe, to, extent), $"round {round}: memory of another pool shows its data");
                Paint.Put(rig.Probe, to, extent, 78);
                bench.ExpectBalance();
                Unmap(to, keep: false, extent);
            }
        }
    }

    private static void FloorIsThere(ICheckRig rig)
    {
        using var bench = new PoolBench(rig, 48);
        var modest = bench.Open(1, KvLayout.Contiguous, floorPages: 24);
        var greedy = bench.Open(2, KvLayout.Contiguous);
        Expect.Equal(24 * rig.PageBytes, bench.SnapshotOf(modest).StockBytes, "memory behind the floor");
        Map(greedy, ExtentOf(0, 0, 2));
        var refused = Expect.Is<MapResult.OutOfMemory>(greedy.TryMap([ExtentOf(1, 0, 0)]), "mapping into another's floor");
        Expect.Equal(0L, refused.Facts.AvailableBytes, "bytes available to the greedy");
        for (var i = 0; i < 4; i++)
        {
            Map(modest, ExtentOf(0, i, 0));
        }

        Expect.Is<MapResult.OutOfMemory>(modest.TryMap([ExtentOf(1, 0, 0)]), "mapping above the floor");
        Unmap(modest, keep: true, ExtentOf(0, 0, 0), ExtentOf(0, 1, 0));
        Expect.Is<MapResult.OutOfMemory>(greedy.TryMap([ExtentOf(1, 0, 0)]), "mapping what another keeps within its floor");
        Unmap(modest, keep: false, ExtentOf(0, 2, 0), ExtentOf(0, 3, 0));
        bench.Pool.RefillFloors();
        Expect.Equal(24 * rig.PageBytes, bench.SnapshotOf(modest).StockBytes + bench.SnapshotOf(modest).KeptBytes, "memory behind the floor at the end");
    }

    private static void FloorServesOtherSizes(ICheckRig rig)
    {
        using var bench = new PoolBench(rig, 48, new PagePoolOptions { CapacityBytes = 1, FloorExtentPageCount = 8 });
        var pool = bench.Open(1, KvLayout.Contiguous, floorPages: 48);
        foreach (var order in (byte[])[0, 1, 2, 3])
        {
            Map(pool, ExtentOf(0, 0, order));
            bench.ExpectBalance();
            Expect.That(Paint.IsBlank(rig.Probe, pool, ExtentOf(0, 0, order)), "memory of the floor isn't blank");
            Paint.Put(rig.Probe, pool, ExtentOf(0, 0, order), 1);
            Unmap(pool, keep: order % 2 == 0, ExtentOf(0, 0, order));
            bench.Pool.RefillFloors();
            bench.ExpectBalance();
        }
    }

    private static void MappingIsAllOrNothing(ICheckRig rig)
    {
        using var bench = new PoolBench(rig, 14);
        var pool = bench.Open(1, KvLayout.PerLayer);
        var before = bench.Memory.Live;
        var refused = Expect.Is<MapResult.OutOfMemory>(pool.TryMap([ExtentOf(0, 0, 0), ExtentOf(0, 1, 0), ExtentOf(1, 0, 1)]), "mapping 16 pages of 14");
        Expect.Equal((16 * rig.PageBytes, 14 * rig.PageBytes), (refused.Facts.RequestedBytes, refused.Facts.AvailableBytes), "requested and available bytes");
        Expect.Equal(before, bench.Memory.Live, "what is held");
        Map(pool, ExtentOf(0, 0, 0), ExtentOf(0, 1, 0), ExtentOf(1, 0, 0));
    }

    private static void ExportShowsSameBytes(ICheckRig rig)
    {
        foreach (var layout in Layouts)
        {
            using var bench = new PoolBench(rig, 64);
            var pool = bench.Open(1, layout);
            var extent = ExtentOf(0, 2, 1);
            Map(pool, extent);
            Paint.Put(rig.Probe, pool, extent, 400);
            Expect.That(pool.TryExport(extent, out var descriptors, out var problem), problem);
            var units = pool.Layout.UnitsOf(0);
            Expect.Equal(units.Length, descriptors.Length, $"{layout}: descriptors");
            for (var i = 0; i < units.Length; i++)
            {
                using var descriptor = descriptors[i];
                Expect.That(descriptor.DangerousGetHandle() > FileDescriptors.HighestSelectable, "a descriptor is numbered low");
                using var elsewhere = new Bench(rig, (int)(units[i].BytesOf(extent) / rig.PageBytes));
                var bytes = units[i].BytesOf(extent);
                elsewhere.MapAgain(0, (int)(bytes / rig.PageBytes), elsewhere.Keep(elsewhere.Memory.Import(descriptor, bytes)));
                Expect.That(Paint.IsOn(rig.Probe, elsewhere.At(0), bytes, 400 + (7 * units[i].Index)), $"{layout}: unit {i} shows something else");
            }

            Expect.Equal(units.Length, bench.Descriptors.UsedCount, $"{layout}: descriptors kept");
            Unmap(pool, keep: false, extent);
            Expect.Equal(0, bench.Descriptors.UsedCount, $"{layout}: descriptors kept after release");
            Expect.That(!pool.TryExport(extent, out descriptors), "an extent that isn't mapped was exported");
        }
    }

    private static void RestartedHostAdopts(ICheckRig rig)
    {
        var extent = ExtentOf(0, 4, 1, 9);
        using var after = new PoolBench(rig, 64);
        var before = new PoolBench(rig, 64);
        var old = before.Open(1, KvLayout.Grouped);
        Map(old, extent);
        Paint.Put(rig.Probe, old, extent, 500);
        var identity = old.IdentityOf(extent)!.Value;
        Expect.That(old.TryExport(extent, out var descriptors, out var problem), problem);
        before.Dispose();

        var pool = after.Open(1, KvLayout.Grouped);
        Expect.Is<MapResult.Refused>(pool.TryAdopt(extent, identity with { Generation = 8 }, descriptors.AsSpan()), "adopting another generation");
        Expect.Is<MapResult.Refused>(pool.TryAdopt(extent, identity, descriptors.AsSpan()[..1]), "adopting with a descriptor missing");
        Expect.Is<MapResult.Mapped>(pool.TryAdopt(extent, identity, descriptors.AsSpan()), "adopting");
        Expect.Is<MapResult.Refused>(pool.TryAdopt(ExtentOf(0, 6, 1, 9), identity, descriptors.AsSpan()), "adopting twice");
        descriptors.ToList().ForEach(d => d.Dispose());
        Expect.That(Paint.IsOn(rig.Probe, pool, extent, 500), "the data is gone");
        Expect.Equal(identity, pool.IdentityOf(extent), "identity");
        Expect.That(pool.TryExport(extent, out descriptors, out problem), problem);
        descriptors.ToList().ForEach(d => d.Dispose());
        after.ExpectBalance();
        Unmap(pool, keep: false, extent);
        Expect.Equal(0, after.Descriptors.UsedCount, "descriptors after release");
    }

    private static void ClosingGivesBack(ICheckRig rig)
    {
        using var bench = new PoolBench(rig, 64);
        var pool = bench.Open(1, KvLayout.PerLayer, floorPages: 12);
        Map(pool, ExtentOf(0, 0, 0), ExtentOf(0, 2, 1), ExtentOf(1, 0, 2));
        Unmap(pool, keep: true, ExtentOf(0, 2, 1));
        Expect.Equal(1, pool.Quarantine([ExtentOf(1, 0, 2)]).Length, "extents held back");
        Expect.That(pool.TryExport(ExtentOf(0, 0, 0), out var descriptors), "exporting");
        descriptors.ToList().ForEach(d => d.Dispose());
        bench.ExpectBalance();
        Expect.Is<CloseResult.Closed>(bench.Pool.Close(pool.Id), "closing");
        Expect.Equal(default, bench.Memory.Live, "what is held");
        Expect.Is<CloseResult.NotFound>(bench.Pool.Close(pool.Id), "closing twice");
        Expect.Is<MapResult.Refused>(pool.TryMap([ExtentOf(0, 0, 0)]), "mapping in a closed pool");
        Expect.That(!bench.Pool.TryGet(pool.Id, out _), "the closed pool is still known");
    }

    private static void WorkerNeedsNoAddresses(ICheckRig rig)
    {
        using var bench = new PoolBench(rig, 64);
        var pool = bench.Open(1, KvLayout.PerLayer, floorPages: 6, isMappedHere: false);
        Map(pool, ExtentOf(0, 0, 0), ExtentOf(1, 0, 0));
        Expect.Equal(new LiveCounts(0, 8, 0, 8 * rig.PageBytes), bench.Memory.Live, "what is held");
        Expect.That(pool.TryExport(ExtentOf(0, 0, 0), out var descriptors), "exporting");
        Expect.Equal(6, descriptors.Length, "descriptors");
        descriptors.ToList().ForEach(d => d.Dispose());
        Expect.Equal((nint)0, pool.BaseAddress, "address of the arena");
        Unmap(pool, keep: false, ExtentOf(0, 0, 0), ExtentOf(1, 0, 0));
    }
}
