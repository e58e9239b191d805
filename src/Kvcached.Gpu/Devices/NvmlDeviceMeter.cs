using Kvcached.Core.Ids;

namespace Kvcached.Gpu.Devices;

/// <summary>A GPU, as NVML sees it: without a context, and whoever uses the memory.</summary>
public sealed class NvmlDeviceMeter(GpuId gpu) : IDeviceMeter
{
    public bool TryRead(out DeviceUse use, out string problem)
    {
        var isRead = NvmlDevices.TryReadUse(gpu, out use, out var unavailable);
        problem = unavailable?.Text ?? string.Empty;
        return isRead;
    }
}
