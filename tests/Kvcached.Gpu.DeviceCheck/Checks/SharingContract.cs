using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.DeviceCheck.Checks;

/// <summary>The rules of sharing memory by file descriptor.</summary>
internal static class SharingContract
{
    internal static IReadOnlyList<Check> All { get; } =
    [
        new("Descriptors_are_numbered_high_and_closed_on_exec", DescriptorsAreHigh),
        new("Two_mappings_of_one_descriptor_show_the_same_bytes", MappingsShareBytes),
        new("Another_process_reads_and_writes_the_same_bytes", AnotherProcessShares),
        new("Imported_memory_cannot_be_exported", ImportedIsNotExported),
        new("A_descriptor_alone_keeps_memory_alive", DescriptorKeepsAlive),
        new("A_descriptor_of_something_else_is_refused", OtherDescriptorsAreRefused),
    ];

    private static void DescriptorsAreHigh(ICheckRig rig)
    {
        using var bench = new Bench(rig, 1);
        using var descriptor = bench.Memory.Export(bench.Create());
        Expect.That(descriptor.DangerousGetHandle() > FileDescriptors.HighestSelectable, $"the descriptor is {descriptor.DangerousGetHandle()}");
        Expect.Equal(Libc.FD_CLOEXEC, Libc.fcntl(descriptor, Libc.F_GETFD, 0), "flags of the descriptor");
    }

    private static void MappingsShareBytes(ICheckRig rig)
    {
        using var bench = new Bench(rig, 4);
        using var descriptor = bench.Memory.Export(bench.Map(0, 2));
        Paint.Put(rig.Probe, bench.At(0), 2 * rig.PageBytes, 11);
        bench.MapAgain(2, 2, bench.Keep(bench.Memory.Import(descriptor, 2 * rig.PageBytes)));
        Expect.That(Paint.IsOn(rig.Probe, bench.At(2), 2 * rig.PageBytes, 11), "what one wrote the other doesn't read");
        Paint.Put(rig.Probe, bench.At(2), 2 * rig.PageBytes, 12);
        Expect.That(Paint.IsOn(rig.Probe, bench.At(0), 2 * rig.PageBytes, 12), "what the other wrote the one doesn't read");
    }

    private static void AnotherProcessShares(ICheckRig rig)
    {
        using var bench = new Bench(rig, 2);
        using var descriptor = bench.Memory.Export(bench.Map(0, 2));
        Paint.Put(rig.Probe, bench.At(0), 2 * rig.PageBytes, 21);
        Expect.Equal(null, ChildProcess.Run(rig, descriptor, 2 * rig.PageBytes, expectedSeed: 21, writtenSeed: 31), "the child");
        Expect.That(Paint.IsOn(rig.Probe, bench.At(0), 2 * rig.PageBytes, 31), "what the child wrote isn't read here");
        Expect.That(ChildProcess.Run(rig, descriptor, 2 * rig.PageBytes, expectedSeed: 99, writtenSeed: 1) is not null, "the child accepts anything");
    }

    /// <summary>Only an import by another process is one for sure: within one, a driver may answer with the handle that it exported.</summary>
    private static void ImportedIsNotExported(ICheckRig rig)
    {
        using var bench = new Bench(rig, 1);
        using var descriptor = bench.Memory.Export(bench.Map(0, 1));
        Paint.Put(rig.Probe, bench.At(0), rig.PageBytes, 61);
        Expect.Equal(null, ChildProcess.Run(rig, descriptor, rig.PageBytes, expectedSeed: 61, writtenSeed: 62), "the child, which tries to export");
    }

    private static void DescriptorKeepsAlive(ICheckRig rig)
    {
        using var bench = new Bench(rig, 1);
        var handle = bench.Map(0, 1);
        Paint.Put(rig.Probe, bench.At(0), rig.PageBytes, 41);
        using var descriptor = bench.Memory.Export(handle);
        bench.Memory.Unmap(bench.At(0), rig.PageBytes);
        bench.Release(handle);
        bench.MapAgain(0, 1, bench.Keep(bench.Memory.Import(descriptor, rig.PageBytes)));
        Expect.That(Paint.IsOn(rig.Probe, bench.At(0), rig.PageBytes, 41), "the data is gone");
    }

    private static void OtherDescriptorsAreRefused(ICheckRig rig)
    {
        using var bench = new Bench(rig, 1);
        using SafeFileHandle nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        Expect.Refused(null, () => bench.Memory.Import(nothing, rig.PageBytes), "importing /dev/null");
        Expect.Equal(0, bench.Memory.Live.HandleCount, "handles after that");
    }
}
