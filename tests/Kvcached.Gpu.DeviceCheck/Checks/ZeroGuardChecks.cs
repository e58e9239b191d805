using Kvcached.Core.Geometry;
using Kvcached.Core.Paging;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.DeviceCheck.Checks;

/// <summary>Zeroes under unmapped pages, mapped as a GPU needs it.</summary>
internal static class ZeroGuardChecks
{
    internal static IReadOnlyList<Check> All { get; } =
    [
        new("Guarded_pages_read_as_zeroes_and_cannot_be_written", ZeroesAreReadOnly),
        new("Guarded_pages_swap_with_memory_and_read_as_zeroes_again", ZeroesComeBack),
        new("A_guard_that_the_driver_refuses_is_closed_with_the_next_page_that_leaves", BarePlacesAreClosed),
        new("A_guard_that_cannot_be_made_leaves_nothing", RefusedGuardLeavesNothing),
        new("Pieces_of_zeroes_divide_pages_of_any_size", PiecesDividePages),
    ];

    private static void ZeroesAreReadOnly(ICheckRig rig)
    {
        foreach (var layout in PoolBench.Layouts)
        {
            using var bench = new GuardBench(rig, layout);
            foreach (var unit in bench.Layout.Units)
            {
                var start = bench.Arena.BaseAddress + (nint)unit.ArenaOffset;
                foreach (var at in (nint[])[start, start + (nint)unit.ByteCount - (nint)rig.PageBytes])
                {
                    Expect.Equal(MemoryAccess.Read, rig.Probe.AccessOf(at), $"access at the guard of {unit}");
                    Expect.That(Paint.IsBlank(rig.Probe, at, rig.PageBytes), $"the guard of {unit} isn't blank");
                }
            }
        }
    }

    private static void ZeroesComeBack(ICheckRig rig)
    {
        foreach (var layout in PoolBench.Layouts)
        {
            using var bench = new GuardBench(rig, layout);
            var extent = PoolBench.ExtentOf(0, 4, 1);
            for (var round = 0; round < 2; round++)
            {
                foreach (var unit in bench.Layout.UnitsOf(0))
                {
                    var (address, bytes) = (bench.AddressOf(unit, extent), unit.BytesOf(extent));
                    Expect.That(bench.Memory.TryCreate(bytes, out var handle), "no memory could be created");
                    bench.Guard.Uncover(unit, extent);
                    bench.Memory.Map(address, bytes, 0, handle);
                    bench.Memory.SetAccess(address, bytes, MemoryAccess.ReadWrite);
                    Paint.Put(rig.Probe, address, bytes, round + 1);
                    Expect.That(Paint.IsOn(rig.Probe, address, bytes, round + 1), "what was written where zeroes had been");
                    Expect.That(Paint.IsBlank(rig.Probe, address - (nint)rig.PageBytes, rig.PageBytes), "the page before isn't blank");
                    Expect.That(Paint.IsBlank(rig.Probe, address + (nint)bytes, rig.PageBytes), "the page after isn't blank");
                    bench.Memory.Unmap(address, bytes);
                    bench.Guard.Cover(unit, extent);
                    bench.Memory.Release(handle);
                    Expect.Equal(MemoryAccess.Read, rig.Probe.AccessOf(address), "access once the memory is gone");
                    Expect.That(Paint.IsBlank(rig.Probe, address, bytes), "what is read once the memory is gone");
                }
            }

            Expect.Equal(0, bench.Guard.BareCount, "bare places");
        }
    }

    private static void BarePlacesAreClosed(ICheckRig rig)
    {
        using var bench = new GuardBench(rig, KvLayout.PerLayer);
        var unit = bench.Layout.Units[0];
        var (one, other) = (PoolBench.ExtentOf(0, 0, 0), PoolBench.ExtentOf(0, 2, 0));
        bench.Guard.Uncover(unit, one);
        bench.Memory.FailNth(VirtualMemoryOperation.Map, 1, DriverCode.Unknown);
        bench.Guard.Cover(unit, one);
        Expect.Equal(1, bench.Guard.BareCount, "places that the driver left bare");
        Expect.Equal(MemoryAccess.None, rig.Probe.AccessOf(bench.AddressOf(unit, one)), "access there");
        bench.Guard.Uncover(unit, other);
        bench.Memory.FailNth(VirtualMemoryOperation.SetAccess, 1, DriverCode.Unknown);
        bench.Guard.Cover(unit, other);
        Expect.That(bench.Guard.BareCount > 0, "nothing is bare after another refusal");
        bench.Guard.Cover(unit, other);
        Expect.Equal(0, bench.Guard.BareCount, "bare places after the driver has recovered");
        Expect.Equal(MemoryAccess.Read, rig.Probe.AccessOf(bench.AddressOf(unit, one)), "access where the first was refused");
        Expect.Equal(MemoryAccess.Read, rig.Probe.AccessOf(bench.AddressOf(unit, other)), "access where the second was refused");
    }

    private static void RefusedGuardLeavesNothing(ICheckRig rig)
    {
        using var memory = rig.Open();
        var layout = GuardBench.LayoutOf(rig, KvLayout.PerLayer);
        foreach (var operation in (VirtualMemoryOperation[])[VirtualMemoryOperation.Create, VirtualMemoryOperation.Map, VirtualMemoryOperation.SetAccess])
        {
            var arena = memory.Reserve(layout.ByteCount);
            memory.FailNth(operation, operation == VirtualMemoryOperation.Create ? 1 : 5, DriverCode.OutOfMemory);
            Expect.Refused(DriverCode.OutOfMemory, () => _ = new ZeroGuard(memory, layout, arena.BaseAddress), $"a guard whose {operation} fails");
            memory.Free(arena);
            Expect.Equal(default, memory.Live, "what is left");
        }
    }

    private static void PiecesDividePages(ICheckRig rig)
    {
        foreach (var pages in (long[])[1, 3, 31, 32, 33, 61, 64, 67, 80, 127, 4096])
        {
            var bytes = pages * 2 << 20;
            var piece = ZeroGuard.PieceBytes(bytes, 2 << 20);
            Expect.That(
                bytes % piece == 0 && piece % (2 << 20) == 0 && piece <= ZeroGuard.MaxPieceBytes && (bytes > ZeroGuard.MaxPieceBytes || piece == bytes),
                $"pages of {bytes} bytes get pieces of {piece}");
        }
    }

    /// <summary>A guarded arena; when it ends, it insists that nothing is left.</summary>
    private sealed class GuardBench : IDisposable
    {
        internal GuardBench(ICheckRig rig, KvLayout layout)
        {
            Memory = rig.Open();
            Layout = LayoutOf(rig, layout);
            Arena = Memory.Reserve(Layout.ByteCount);
            Guard = new ZeroGuard(Memory, Layout, Arena.BaseAddress);
        }

        internal FaultInjectingVirtualMemory Memory { get; }

        internal ArenaLayout Layout { get; }

        internal AddressReservation Arena { get; }

        internal ZeroGuard Guard { get; }

        internal static ArenaLayout LayoutOf(ICheckRig rig, KvLayout layout) => ArenaLayout.Create(PoolBench.Geometry(rig, layout), 0);

        internal nint AddressOf(MappingUnit unit, Extent extent) => Arena.BaseAddress + (nint)unit.OffsetOf(extent);

        public void Dispose()
        {
            Expect.That(Guard.TryRemove(), "the zeroes could not be taken away");
            Memory.Free(Arena);
            var left = Memory.Live;
            Memory.Dispose();
            Expect.Equal(default, left, "what is left after the check");
        }
    }
}
