using Kvcached.Core.Geometry;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Devices;
using static Kvcached.Gpu.DeviceCheck.Checks.PoolBench;

namespace Kvcached.Gpu.DeviceCheck.Checks;

/// <summary>What only a real GPU can show.</summary>
internal static class CudaOnlyChecks
{
    /// <summary>These run first: a look at GPU memory makes the context whose absence they claim.</summary>
    internal static IReadOnlyList<Check> BeforeContext(CudaRig rig) =>
    [
        new("The_page_pool_needs_no_context", check =>
        {
            Expect.That(!rig.HasContext, "the process has a context before anything was done");
            using (var bench = new PoolBench(check, 256))
            {
                var pool = bench.Open(1, KvLayout.PerLayer, floorPages: 16);
                Map(pool, ExtentOf(0, 0, 3), ExtentOf(1, 0, 2));
                Expect.That(pool.TryExport(ExtentOf(0, 0, 3), out var descriptors, out var problem), problem);
                descriptors.ToList().ForEach(d => d.Dispose());
                Unmap(pool, keep: true, ExtentOf(0, 0, 3), ExtentOf(1, 0, 2));
            }

            Expect.That(!rig.HasContext, "the page pool made a context");
        }),
    ];

    internal static IReadOnlyList<Check> AfterContext(CudaRig rig) =>
    [
        new("Closing_a_pool_gives_its_memory_back_to_the_device", check =>
        {
            // A quarter of what is mapped is left for what other processes do meanwhile.
            const int PageCount = 1536;
            using var bench = new PoolBench(check, PageCount);
            var pool = bench.Open(1, KvLayout.Contiguous);
            var before = UsedBytes(rig);
            for (var i = 0; i < 16; i++)
            {
                Map(pool, ExtentOf(0, 4 * i, 2));
            }

            var mappedBytes = 16 * pool.Layout.BytesOf(ExtentOf(0, 0, 2));
            Expect.That(UsedBytes(rig) - before > mappedBytes / 4 * 3, "mapped memory isn't counted by NVML");
            bench.Pool.Close(pool.Id);
            Expect.That(UsedBytes(rig) - before < mappedBytes / 4, "memory of a closed pool is still in use");
        }),
    ];

    private static long UsedBytes(CudaRig rig) =>
        NvmlDevices.TryFind(rig.Gpu, out var device, out var problem) ? device.UsedBytes : throw new CheckFailedException(problem.Text);
}
