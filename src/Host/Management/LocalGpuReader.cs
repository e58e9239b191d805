using Kvcached.Core.Ids;
using Kvcached.Gpu.Devices;
using Kvcached.Gpu.Pools;

namespace Kvcached.Host.Management;

/// <summary>Reads this host's own ledger, and what the driver says of its GPU.</summary>
internal sealed class LocalGpuReader(PagePool pool)
{
    public GpuId Gpu { get; } = pool.Gpu;

    public LocalGpuFacts Read()
    {
        var pools = pool.Snapshot().Pools;
        var device = Gpu.IsHostMemory || !NvmlDevices.TryFind(Gpu, out var found, out _) ? null : found;
        return new LocalGpuFacts(
            pools.Sum(account => account.MappedBytes), pools.Sum(account => account.KeptBytes), pools.Sum(account => account.StockBytes),
            pools.Sum(account => account.QuarantinedBytes), pools.Sum(account => account.HandleCount),
            pools.Sum(account => account.DescriptorCount), device?.UsedBytes, device?.TotalBytes);
    }
}
