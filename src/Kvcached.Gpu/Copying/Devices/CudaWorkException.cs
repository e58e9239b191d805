using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Copying.Devices;

/// <summary>The CUDA driver refused work on a device's memory. Most such errors leave the process's context unusable.</summary>
public sealed class CudaWorkException(string call, DriverCode code, string description)
    : Exception($"{call} failed: {description}. The device's context may be lost; start the process anew.")
{
    /// <summary>The driver's function, with what it was called for.</summary>
    public string Call { get; } = call;

    public DriverCode Code { get; } = code;
}
