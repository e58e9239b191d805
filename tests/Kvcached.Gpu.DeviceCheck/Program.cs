using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.Gpu.DeviceCheck.Checks;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Devices;

namespace Kvcached.Gpu.DeviceCheck;

/// <summary>Runs every check, one line each: <c>Kvcached.Gpu.DeviceCheck [host | cuda [GPU-uuid]] [part of a name]</c>.</summary>
internal static class Program
{
    private static int Main(string[] arguments)
    {
        if (ChildProcess.TryBe(arguments, out var exitCode))
        {
            return exitCode;
        }

        var backend = arguments.Length > 0 ? arguments[0] : "cuda";
        GpuId? gpu = arguments.Length > 1 && arguments[1].StartsWith("GPU-", StringComparison.Ordinal) ? GpuId.Parse(arguments[1]) : null;
        var wanted = arguments.Length > 1 && gpu is null ? arguments[1] : arguments.Length > 2 ? arguments[2] : string.Empty;
        ICheckRig rig;
        var checks = Check.All;
        if (backend == "host")
        {
            rig = new HostRig(64 * ByteSize.KiB);
        }
        else if (backend == "cuda" && CudaRig.TryCreate(gpu, out var cuda, out var problem))
        {
            // Before anything looks at memory: the look itself makes the context that must not be there.
            rig = cuda;
            checks = [.. CudaOnlyChecks.BeforeContext(cuda), .. FenceChecks.BeforeContext(cuda), .. checks, .. CudaOnlyChecks.AfterContext(cuda), .. FenceChecks.AfterContext(cuda)];
            Console.WriteLine($"{cuda.DeviceName} {cuda.Gpu}, granularity {ByteSize.Format(cuda.PageBytes)}");
            Console.WriteLine(NvmlDevices.TryList(out var devices, out var unavailable) ? string.Join("; ", devices) : unavailable.Text);
        }
        else
        {
            Console.WriteLine(backend == "cuda" ? CudaRig.TryCreate(gpu, out _, out var reason) ? "The GPU came and went." : reason.Text : $"There is no backend '{backend}': host or cuda.");
            return 2;
        }

        return Run(rig, checks.Where(c => c.Name.Contains(wanted, StringComparison.OrdinalIgnoreCase)));
    }

    private static int Run(ICheckRig rig, IEnumerable<Check> checks)
    {
        var passed = 0;
        var failed = 0;
        foreach (var check in checks)
        {
            try
            {
                check.Run(rig);
                passed++;
                Console.WriteLine($"ok   {check.Name}");
            }
#pragma warning disable CA1031 // Whatever a check throws is its result.
            catch (Exception e)
#pragma warning restore CA1031
            {
                failed++;
                Console.WriteLine($"FAIL {check.Name}: {(e is CheckFailedException ? e.Message : e)}");
            }
        }

        Console.WriteLine($"{passed} passed, {failed} failed");
        return failed == 0 ? 0 : 1;
    }
}
