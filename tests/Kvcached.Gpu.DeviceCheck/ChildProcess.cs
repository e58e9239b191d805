using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Kvcached.Core.Ids;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.DeviceCheck;

/// <summary>Another process that gets memory by an inherited file descriptor, checks what is in it and writes something else.</summary>
internal static class ChildProcess
{
    private const string Verb = "child";

    /// <summary>Starts the child and waits for it; the text that it left when it failed, or null.</summary>
    internal static string? Run(ICheckRig rig, SafeFileHandle descriptor, long byteCount, int expectedSeed, int writtenSeed)
    {
        // Inherited, unlike every other descriptor: only this duplicate lacks close-on-exec.
        Expect.That(FileDescriptors.TryDuplicateHigh(descriptor, out var inherited, out var problem), problem);
        using (inherited)
        {
            Expect.Equal(0, Libc.fcntl(inherited, Libc.F_SETFD, 0), "fcntl(F_SETFD)");
            var start = new ProcessStartInfo(FindProgram()) { RedirectStandardError = true, UseShellExecute = false };
            start.Environment["DOTNET_ROOT"] = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));
            string[] arguments =
            [
                Verb, .. rig.ChildArguments, Text(inherited.DangerousGetHandle()), Text(byteCount), Text(expectedSeed), Text(writtenSeed),
            ];
            foreach (var argument in arguments)
            {
                start.ArgumentList.Add(argument);
            }

            using var child = Process.Start(start) ?? throw new CheckFailedException("The child process didn't start.");
            var said = child.StandardError.ReadToEnd();
            child.WaitForExit();
            return child.ExitCode == 0 ? null : $"exit code {child.ExitCode}: {said}";
        }
    }

    /// <summary>True when this process is such a child; then <paramref name="exitCode"/> is what to end with.</summary>
    internal static bool TryBe(string[] arguments, out int exitCode)
    {
        exitCode = 0;
        if (arguments is not [Verb, var backend, var which, var descriptor, var bytes, var expected, var written])
        {
            return false;
        }

        try
        {
            ICheckRig rig = backend == "host"
                ? new HostRig(long.Parse(which, CultureInfo.InvariantCulture))
                : CudaRig.TryCreate(GpuId.Parse(which), out var cuda, out var problem) ? cuda : throw new CheckFailedException(problem.Text);
            using var handle = new SafeFileHandle(nint.Parse(descriptor, CultureInfo.InvariantCulture), ownsHandle: true);
            Exchange(rig, handle, long.Parse(bytes, CultureInfo.InvariantCulture), int.Parse(expected, CultureInfo.InvariantCulture), int.Parse(written, CultureInfo.InvariantCulture));
        }
        catch (Exception e) when (e is CheckFailedException or VirtualMemoryException or InvalidOperationException)
        {
            Console.Error.WriteLine(e.Message);
            exitCode = 1;
        }

        return true;
    }

    private static void Exchange(ICheckRig rig, SafeFileHandle descriptor, long byteCount, int expectedSeed, int writtenSeed)
    {
        using var memory = rig.Open();
        var arena = memory.Reserve(byteCount);
        var handle = memory.Import(descriptor, byteCount);
        Expect.Refused(DriverCode.InvalidValue, () => memory.Export(handle), "exporting imported memory");
        memory.Map(arena.BaseAddress, byteCount, 0, handle);
        memory.SetAccess(arena.BaseAddress, byteCount, MemoryAccess.ReadWrite);
        Expect.That(Paint.IsOn(rig.Probe, arena.BaseAddress, byteCount, expectedSeed), "The child doesn't read what the parent wrote.");
        Paint.Put(rig.Probe, arena.BaseAddress, byteCount, writtenSeed);
        memory.Unmap(arena.BaseAddress, byteCount);
        memory.Release(handle);
        memory.Free(arena);
    }

    private static string FindProgram()
    {
        const string Name = "Kvcached.Gpu.DeviceCheck";
        return Path.GetFileName(Environment.ProcessPath) == Name ? Environment.ProcessPath! : Path.Combine(AppContext.BaseDirectory, Name);
    }

    private static string Text<T>(T value)
        where T : IFormattable => value.ToString(null, CultureInfo.InvariantCulture);
}
