using Kvcached.Core.Geometry;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Pools;
using static Kvcached.Gpu.DeviceCheck.Checks.PoolBench;

namespace Kvcached.Gpu.DeviceCheck.Checks;

/// <summary>What the page pool promises when the driver fails: each step of each operation is made to fail in turn.</summary>
internal static class PagePoolFailureChecks
{
    internal static IReadOnlyList<Check> All { get; } =
    [
        new("Each_step_of_a_map_can_fail_and_is_undone", EachStepOfMapIsUndone),
        new("Out_of_memory_at_each_creation_is_undone", EachCreationCanRunOut),
        new("Each_step_of_an_unmap_can_fail_and_the_others_proceed", EachStepOfUnmapProceeds),
        new("What_cannot_be_undone_is_quarantined_and_comes_back", UndoneIsQuarantined),
        new("Each_step_of_opening_can_fail_and_is_undone", EachStepOfOpenIsUndone),
        new("Each_step_of_closing_can_fail_and_closing_again_finishes", EachStepOfCloseIsFinished),
        new("Each_step_of_an_export_can_fail_and_is_undone", EachStepOfExportIsUndone),
        new("Each_step_of_an_adoption_can_fail_and_is_undone", EachStepOfAdoptIsUndone),
        new("The_calling_pool_is_refused_when_others_memory_is_not_taken_back", FailedReclaimRefuses),
    ];

    /// <summary>
    /// The request draws on all sources at once: memory that the pool kept, that of its floor, new memory, and what another pool keeps,
    /// which is released first.
    /// </summary>
    private static void EachStepOfMapIsUndone(ICheckRig rig)
    {
        foreach (var layout in Layouts)
        {
            var hasFailed = true;
            for (var n = 1; hasFailed; n++)
            {
                using var bench = new PoolBench(rig, 72, new PagePoolOptions { CapacityBytes = 1, FloorExtentPageCount = 1 });
                var (pool, _) = Prepare(bench, layout);
                var before = bench.SnapshotOf(pool);
                bench.Memory.FailNth(null, n, DriverCode.Unknown);
                var result = pool.TryMap([ExtentOf(0, 8, 1), ExtentOf(1, 8, 0), ExtentOf(0, 10, 0), ExtentOf(1, 0, 2), ExtentOf(0, 16, 2)]);
                bench.Memory.Heal();
                hasFailed = result is not MapResult.Mapped || bench.Pool.Snapshot().Pools.Any(p => p.QuarantinedBytes > 0);
                if (result is not MapResult.Mapped)
                {
                    var failed = Expect.Is<MapResult.DriverFailed>(result, $"{layout}: failing call {n}");
                    Expect.Equal(DriverCode.Unknown, failed.Code, "code");
                    Expect.That(failed.Quarantined.IsEmpty, $"{layout}: call {n}: one failure left something that can't be undone");
                    Expect.Equal(before.MappedExtentCount, bench.SnapshotOf(pool).MappedExtentCount, "extents mapped");
                    Expect.Equal(before.MappedBytes, bench.SnapshotOf(pool).MappedBytes, "bytes mapped");
                    Expect.Equal((before.KeptBytes, before.StockBytes), (bench.SnapshotOf(pool).KeptBytes, bench.SnapshotOf(pool).StockBytes), "bytes kept and in stock");
                    bench.ExpectBalance();
                    Map(pool, ExtentOf(0, 8, 1, 2), ExtentOf(0, 10, 0, 2), ExtentOf(1, 0, 2, 2));
                }

                bench.ExpectBalance();
                ExpectNothingQuarantined(bench);
                Expect.That(n < 200, "a map never succeeds");
            }
        }
    }

    private static void EachCreationCanRunOut(ICheckRig rig)
    {
        for (var n = 1; ; n++)
        {
            using var bench = new PoolBench(rig, 64);
            var pool = bench.Open(1, KvLayout.PerLayer);
            bench.Memory.FailNth(VirtualMemoryOperation.Create, n, DriverCode.OutOfMemory);
            var result = pool.TryMap([ExtentOf(0, 0, 0), ExtentOf(1, 0, 0)]);
            bench.ExpectBalance();
            if (result is MapResult.Mapped)
            {
                Expect.Equal(9, n, "creations of the request, and one");
                return;
            }

            var refused = Expect.Is<MapResult.OutOfMemory>(result, $"running out at creation {n}");
            Expect.That(refused.Facts.IsDeviceShort, "the device isn't said to be short");
            Expect.Equal(0L, bench.Pool.Snapshot().HeldBytes, "bytes held");
        }
    }

    private static void EachStepOfUnmapProceeds(ICheckRig rig)
    {
        foreach (var layout in Layouts)
        {
            var hasFailed = true;
            for (var n = 1; hasFailed; n++)
            {
                using var bench = new PoolBench(rig, 64);
                var pool = bench.Open(1, layout);
                Map(pool, ExtentOf(0, 0, 0), ExtentOf(0, 1, 0), ExtentOf(1, 0, 1));
                bench.Memory.FailNth(null, n, DriverCode.Unknown);
                var result = pool.Unmap([ExtentOf(0, 0, 0), ExtentOf(0, 1, 0), ExtentOf(1, 0, 1), ExtentOf(1, 4, 0)], keep: false);
                bench.Memory.Heal();
                hasFailed = !result.Quarantined.IsEmpty || result.UnreleasedBytes > 0;
                Expect.Equal(3, result.Unmapped.Length + result.Quarantined.Length, $"{layout}: call {n}: extents accounted for");
                Expect.That(result.Quarantined.Length <= 1, $"{layout}: call {n}: one failure stopped several extents");
                Expect.Equal(1, result.NotMapped.Length, "extents that weren't mapped");
                bench.ExpectBalance();
                foreach (var stuck in result.Quarantined)
                {
                    var refused = Expect.Is<MapResult.Refused>(pool.TryMap([stuck.Extent with { Generation = 2 }]), "mapping blocked page ids");
                    Expect.Equal(MapRefusal.Overlap, refused.Reason, "reason");
                }

                ExpectNothingQuarantined(bench);
                Expect.Equal(0L, bench.Pool.Snapshot().HeldBytes, $"{layout}: call {n}: bytes held");
                Map(pool, ExtentOf(0, 0, 1, 3), ExtentOf(1, 0, 1, 3));
            }
        }
    }

    private static void UndoneIsQuarantined(ICheckRig rig)
    {
        foreach (var layout in Layouts)
        {
            using var bench = new PoolBench(rig, 64);
            var pool = bench.Open(1, layout);
            bench.Memory.FailNth(VirtualMemoryOperation.SetAccess, pool.Layout.UnitsOf(0).Length + 1, DriverCode.Unknown);
            bench.Memory.FailAll(VirtualMemoryOperation.Unmap, DriverCode.NotPermitted);
            var failed = Expect.Is<MapResult.DriverFailed>(pool.TryMap([ExtentOf(0, 0, 0), ExtentOf(0, 1, 0), ExtentOf(0, 2, 0)]), $"{layout}: mapping");
            Expect.Equal(2, failed.Quarantined.Length, $"{layout}: extents quarantined");
            bench.ExpectBalance();
            Expect.Equal(12 * rig.PageBytes, bench.SnapshotOf(pool).QuarantinedBytes, $"{layout}: bytes quarantined");
            Expect.Is<MapResult.Refused>(pool.TryMap([ExtentOf(0, 0, 2, 2)]), $"{layout}: mapping over quarantined extents");
            var still = pool.RetryQuarantined();
            Expect.Equal((0, 2), (still.Recovered.Length, still.RemainingExtents.Length), $"{layout}: recovered and remaining while the driver refuses");
            bench.Memory.Heal();
            Map(pool, ExtentOf(0, 2, 0, 2));
            ExpectNothingQuarantined(bench);
            Map(pool, ExtentOf(0, 0, 1, 3));
        }
    }

    private static void EachStepOfOpenIsUndone(ICheckRig rig)
    {
        var hasFailed = true;
        for (var n = 1; hasFailed; n++)
        {
            using var bench = new PoolBench(rig, 64);
            bench.Memory.FailNth(null, n, DriverCode.Unknown);
            var result = bench.Pool.Open(Core.Ids.PoolId.Create(1, 1), Geometry(rig, KvLayout.PerLayer), 0, 16 * rig.PageBytes);
            bench.Memory.Heal();
            hasFailed = result is OpenRankPoolResult.Refused { Reason: OpenRefusal.DriverFailed };
            Expect.Equal(!hasFailed, result is OpenRankPoolResult.Opened, "opened");
            if (hasFailed)
            {
                Expect.Equal(default, bench.Memory.Live, $"call {n}: what is held");
                Expect.Equal(0, bench.Pool.Snapshot().Pools.Length, $"call {n}: pools");
                bench.Open(1, KvLayout.PerLayer, floorPages: 16);
            }
        }
    }

    private static void EachStepOfCloseIsFinished(ICheckRig rig)
    {
        var hasFailed = true;
        for (var n = 1; hasFailed; n++)
        {
            using var bench = new PoolBench(rig, 64);
            var (pool, _) = Prepare(bench, KvLayout.Grouped);
            bench.Memory.FailNth(null, n, DriverCode.Unknown);
            var result = bench.Pool.Close(pool.Id);
            bench.Memory.Heal();
            hasFailed = result is CloseResult.Incomplete;
            bench.ExpectBalance();
            if (hasFailed)
            {
                Expect.That(!bench.Pool.TryGet(pool.Id, out _), "a closing pool is given out");
                Expect.Is<CloseResult.Closed>(bench.Pool.Close(pool.Id), $"call {n}: closing again");
            }
        }
    }

    private static void EachStepOfExportIsUndone(ICheckRig rig)
    {
        for (var n = 1; n <= 6; n++)
        {
            using var bench = new PoolBench(rig, 64);
            var pool = bench.Open(1, KvLayout.PerLayer);
            Map(pool, ExtentOf(0, 0, 0));
            bench.Memory.FailNth(VirtualMemoryOperation.Export, n, DriverCode.Unknown);
            Expect.That(!pool.TryExport(ExtentOf(0, 0, 0), out var none), $"export {n} didn't fail");
            Expect.That(none.IsEmpty, "descriptors of a failed export");
            bench.Memory.Heal();
            bench.ExpectBalance();
            Expect.That(pool.TryExport(ExtentOf(0, 0, 0), out var descriptors), "exporting again");
            descriptors.ToList().ForEach(d => d.Dispose());
        }
    }

    private static void EachStepOfAdoptIsUndone(ICheckRig rig)
    {
        var extent = ExtentOf(0, 4, 1, 9);
        using var owner = new PoolBench(rig, 64);
        var lent = owner.Open(1, KvLayout.Grouped);
        Map(lent, extent);
        Paint.Put(rig.Probe, lent, extent, 600);
        Expect.That(lent.TryExport(extent, out var descriptors, out var problem), problem);
        var hasFailed = true;
        for (var n = 1; hasFailed; n++)
        {
            using var bench = new PoolBench(rig, 64);
            var pool = bench.Open(1, KvLayout.Grouped);
            bench.Memory.FailNth(null, n, DriverCode.Unknown);
            var result = pool.TryAdopt(extent, lent.IdentityOf(extent)!.Value, descriptors.AsSpan());
            bench.Memory.Heal();
            hasFailed = result is not MapResult.Mapped;
            bench.ExpectBalance();
            if (hasFailed)
            {
                Expect.Is<MapResult.DriverFailed>(result, $"failing call {n}");
                Expect.Equal(0L, bench.Pool.Snapshot().HeldBytes, "bytes held");
            }
            else
            {
                Expect.That(Paint.IsOn(rig.Probe, pool, extent, 600), "the data is gone");
            }
        }

        descriptors.ToList().ForEach(d => d.Dispose());
    }

    private static void FailedReclaimRefuses(ICheckRig rig)
    {
        using var bench = new PoolBench(rig, 12);
        var (a, b) = (bench.Open(1, KvLayout.PerLayer), bench.Open(2, KvLayout.PerLayer));
        Map(a, ExtentOf(0, 0, 1));
        Unmap(a, keep: true, ExtentOf(0, 0, 1));
        bench.Memory.FailAll(VirtualMemoryOperation.Release, DriverCode.Unknown);
        Expect.Is<MapResult.DriverFailed>(b.TryMap([ExtentOf(0, 0, 1)]), "mapping while the driver takes nothing back");
        bench.ExpectBalance();
        Expect.Equal(12 * rig.PageBytes, bench.SnapshotOf(a).QuarantinedBytes, "bytes quarantined for the pool that caused them");
        Expect.Equal(0L, bench.SnapshotOf(b).QuarantinedBytes, "bytes quarantined for the pool that asked");
        bench.Memory.Heal();
        ExpectNothingQuarantined(bench);
        Map(b, ExtentOf(0, 0, 1));
    }

    private static (RankPool Pool, RankPool Other) Prepare(PoolBench bench, KvLayout layout)
    {
        var pool = bench.Open(1, layout, floorPages: 14);
        var other = bench.Open(2, layout);
        Map(other, ExtentOf(0, 0, 2));
        Unmap(other, keep: true, ExtentOf(0, 0, 2));
        Map(pool, ExtentOf(0, 0, 1));
        Unmap(pool, keep: true, ExtentOf(0, 0, 1));
        bench.Pool.RefillFloors();
        return (pool, other);
    }

    private static void ExpectNothingQuarantined(PoolBench bench)
    {
        foreach (var snapshot in bench.Pool.Snapshot().Pools)
        {
            if (bench.Pool.TryGet(snapshot.Pool, out var pool))
            {
                pool.RetryQuarantined();
            }
        }

        Expect.Equal(0L, bench.Pool.Snapshot().Pools.Sum(p => p.QuarantinedBytes), "bytes quarantined after a retry");
        Expect.Equal(0, bench.Pool.Snapshot().Pools.Sum(p => p.QuarantinedExtentCount), "extents quarantined after a retry");
        bench.ExpectBalance();
    }
}
