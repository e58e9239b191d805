using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.DeviceCheck.Checks;

/// <summary>The rules of mapping that every backend keeps, in the driver's codes.</summary>
internal static class VirtualMemoryContract
{
    internal static IReadOnlyList<Check> All { get; } =
    [
        new("Sizes_that_are_no_multiple_of_the_granularity_are_refused", SizesAreChecked),
        new("More_than_the_device_has_is_out_of_memory_and_no_error", TooMuchIsOutOfMemory),
        new("A_mapping_is_inaccessible_until_access_is_set", AccessIsSet),
        new("Mapping_from_an_offset_is_not_supported", OffsetIsRefused),
        new("Mapping_where_something_is_mapped_is_refused", OverlapIsRefused),
        new("Mapping_outside_a_reservation_is_refused", UnreservedIsRefused),
        new("Mapping_more_than_the_memory_has_is_refused", TooLargeIsRefused),
        new("Part_of_a_mapping_cannot_be_unmapped", PartialUnmapIsRefused),
        new("Adjoining_mappings_are_unmapped_in_one_call", SeveralAreUnmapped),
        new("Unmapped_addresses_are_inaccessible_and_can_be_mapped_again", UnmappedIsReusable),
        new("Released_memory_lives_while_it_is_mapped", ReleasedLivesWhileMapped),
        new("Memory_keeps_its_data_where_it_is_mapped_again", DataMovesWithMemory),
        new("New_memory_reads_as_zeroes_after_dirty_memory_was_released", NewMemoryIsBlank),
        new("A_range_with_mappings_cannot_be_given_back", FreeWithMappingsIsRefused),
        new("A_refused_call_changes_nothing", RefusalsChangeNothing),
    ];

    private static void SizesAreChecked(ICheckRig rig)
    {
        using var memory = rig.Open();
        foreach (var bytes in (long[])[0, -rig.PageBytes, rig.PageBytes + 1, rig.PageBytes / 2])
        {
            Expect.Refused(DriverCode.InvalidValue, () => memory.TryCreate(bytes, out _), $"creating {bytes} bytes");
        }

        Expect.Refused(DriverCode.InvalidValue, () => memory.Reserve(0), "reserving nothing");
        var arena = memory.Reserve(3 * rig.PageBytes);
        Expect.Equal(0, (long)arena.BaseAddress % rig.PageBytes, "alignment of a reservation");
        memory.Free(arena);
        Expect.Equal(default, memory.Live, "what is left");
    }

    private static void TooMuchIsOutOfMemory(ICheckRig rig)
    {
        using var memory = rig.Open();
        var bytes = 2 * memory.TotalBytes / rig.PageBytes * rig.PageBytes;
        Expect.That(!memory.TryCreate(bytes, out _), "twice the device's memory was created");
        Expect.That(memory.TryCreate(rig.PageBytes, out var handle), "a page could not be created after that");
        memory.Release(handle);
    }

    private static void AccessIsSet(ICheckRig rig)
    {
        using var bench = new Bench(rig, 1);
        bench.Memory.Map(bench.At(0), rig.PageBytes, 0, bench.Create());
        Expect.Equal(MemoryAccess.None, rig.Probe.AccessOf(bench.At(0)), "access of a fresh mapping");
        bench.Memory.SetAccess(bench.At(0), rig.PageBytes, MemoryAccess.ReadWrite);
        Expect.Equal(MemoryAccess.ReadWrite, rig.Probe.AccessOf(bench.At(0)), "access after setting it");
        Expect.Equal(MemoryAccess.ReadWrite, rig.Probe.AccessOf(bench.At(1) - 1), "access of the last byte");
        bench.Memory.Unmap(bench.At(0), rig.PageBytes);
        Expect.Equal(MemoryAccess.None, rig.Probe.AccessOf(bench.At(0)), "access after unmapping");
    }

    private static void OffsetIsRefused(ICheckRig rig)
    {
        using var bench = new Bench(rig, 1);
        var handle = bench.Create(pageCount: 2);
        Expect.Refused(DriverCode.NotSupported, () => bench.Memory.Map(bench.At(0), rig.PageBytes, rig.PageBytes, handle), "mapping from an offset");
    }

    private static void OverlapIsRefused(ICheckRig rig)
    {
        using var bench = new Bench(rig, 4);
        bench.Map(1, 2);
        foreach (var (page, count) in ((int, int)[])[(1, 2), (0, 2), (2, 2), (0, 4), (2, 1)])
        {
            var handle = bench.Create(count);
            Expect.Refused(null, () => bench.Memory.Map(bench.At(page), count * rig.PageBytes, 0, handle), $"mapping {count} pages over page {page}");
        }

        bench.Map(0, 1);
        bench.Map(3, 1);
    }

    private static void UnreservedIsRefused(ICheckRig rig)
    {
        using var bench = new Bench(rig, 2);
        var handle = bench.Create(2);
        Expect.Refused(DriverCode.InvalidValue, () => bench.Memory.Map(bench.At(1), 2 * rig.PageBytes, 0, handle), "mapping past the end of a reservation");
    }

    private static void TooLargeIsRefused(ICheckRig rig)
    {
        using var bench = new Bench(rig, 2);
        var handle = bench.Create(1);
        Expect.Refused(DriverCode.InvalidValue, () => bench.Memory.Map(bench.At(0), 2 * rig.PageBytes, 0, handle), "mapping two pages of one");
    }

    private static void PartialUnmapIsRefused(ICheckRig rig)
    {
        using var bench = new Bench(rig, 2);
        bench.Map(0, 2);
        Expect.Refused(DriverCode.InvalidValue, () => bench.Memory.Unmap(bench.At(0), rig.PageBytes), "unmapping the first half");
        Expect.Refused(DriverCode.InvalidValue, () => bench.Memory.Unmap(bench.At(1), rig.PageBytes), "unmapping the second half");
        Expect.Equal(MemoryAccess.ReadWrite, rig.Probe.AccessOf(bench.At(0)), "access after the refusals");
        bench.Memory.Unmap(bench.At(0), 2 * rig.PageBytes);
    }

    private static void SeveralAreUnmapped(ICheckRig rig)
    {
        using var bench = new Bench(rig, 4);
        bench.Map(0, 1);
        bench.Map(1, 2);
        bench.Map(3, 1);
        bench.Memory.Unmap(bench.At(0), 3 * rig.PageBytes);
        Expect.Equal(MemoryAccess.None, rig.Probe.AccessOf(bench.At(1)), "access of what was unmapped");
        Expect.Equal(MemoryAccess.ReadWrite, rig.Probe.AccessOf(bench.At(3)), "access of the neighbour");
    }

    private static void UnmappedIsReusable(ICheckRig rig)
    {
        using var bench = new Bench(rig, 1);
        bench.Map(0, 1);
        Paint.Put(rig.Probe, bench.At(0), rig.PageBytes, 3);
        bench.Memory.Unmap(bench.At(0), rig.PageBytes);
        Expect.Refused(DriverCode.InvalidValue, () => bench.Memory.Unmap(bench.At(0), rig.PageBytes), "unmapping twice");
        bench.Map(0, 1);
        Expect.That(Paint.IsBlank(rig.Probe, bench.At(0), rig.PageBytes), "other memory at the same address shows the old data");
    }

    private static void ReleasedLivesWhileMapped(ICheckRig rig)
    {
        using var bench = new Bench(rig, 1);
        var handle = bench.Map(0, 1);
        Paint.Put(rig.Probe, bench.At(0), rig.PageBytes, 5);
        bench.Release(handle);
        Expect.That(Paint.IsOn(rig.Probe, bench.At(0), rig.PageBytes, 5), "data of released memory that is still mapped");
        bench.Memory.Unmap(bench.At(0), rig.PageBytes);
    }

    private static void DataMovesWithMemory(ICheckRig rig)
    {
        using var bench = new Bench(rig, 3);
        var handle = bench.Map(0, 1);
        Paint.Put(rig.Probe, bench.At(0), rig.PageBytes, 7);
        bench.Memory.Unmap(bench.At(0), rig.PageBytes);
        bench.MapAgain(2, 1, handle);
        Expect.That(Paint.IsOn(rig.Probe, bench.At(2), rig.PageBytes, 7), "data where the memory is mapped again");
    }

    private static void NewMemoryIsBlank(ICheckRig rig)
    {
        using var bench = new Bench(rig, 16);
        for (var round = 0; round < 4; round++)
        {
            var handles = Enumerable.Range(0, 16).Select(page => bench.Map(page, 1)).ToList();
            for (var page = 0; page < 16; page++)
            {
                Expect.That(Paint.IsBlank(rig.Probe, bench.At(page), rig.PageBytes), $"page {page} of round {round} isn't blank");
                Paint.Put(rig.Probe, bench.At(page), rig.PageBytes, (100 * round) + page);
            }

            bench.Memory.Unmap(bench.At(0), 16 * rig.PageBytes);
            handles.ForEach(bench.Release);
        }
    }

    private static void FreeWithMappingsIsRefused(ICheckRig rig)
    {
        using var bench = new Bench(rig, 1);
        bench.Map(0, 1);
        Expect.Refused(null, () => bench.Memory.Free(bench.Arena), "giving back a range that has mappings");
        Expect.Equal(MemoryAccess.ReadWrite, rig.Probe.AccessOf(bench.At(0)), "access after the refusal");
    }

    private static void RefusalsChangeNothing(ICheckRig rig)
    {
        using var bench = new Bench(rig, 2);
        var handle = bench.Map(0, 1);
        Paint.Put(rig.Probe, bench.At(0), rig.PageBytes, 9);
        var before = bench.Memory.Live;
        Expect.Refused(null, () => bench.Memory.Map(bench.At(0), rig.PageBytes, 0, handle), "mapping over itself");
        Expect.Refused(null, () => bench.Memory.Unmap(bench.At(1), rig.PageBytes), "unmapping what isn't mapped");
        Expect.Refused(null, () => bench.Memory.SetAccess(bench.At(1), rig.PageBytes, MemoryAccess.ReadWrite), "access to what isn't mapped");
        Expect.Equal(before, bench.Memory.Live, "what is held");
        Expect.That(Paint.IsOn(rig.Probe, bench.At(0), rig.PageBytes, 9), "the data is no longer there");
    }
}
