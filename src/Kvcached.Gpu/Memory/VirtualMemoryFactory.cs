using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Cuda;
using Kvcached.Gpu.Devices;
using Kvcached.Gpu.HostMemory;

namespace Kvcached.Gpu.Memory;

/// <summary>Opens the memory that a request names, or says why it can't be had.</summary>
public static class VirtualMemoryFactory
{
    /// <summary>True with the memory, or false with the problem; nothing is thrown for a missing or broken driver.</summary>
    public static bool TryOpen(VirtualMemoryRequest request, [NotNullWhen(true)] out IVirtualMemory? memory, [NotNullWhen(false)] out GpuUnavailable? problem)
    {
        ArgumentNullException.ThrowIfNull(request);
        memory = null;
        if (!Enum.IsDefined(request.Backend))
        {
            problem = new GpuUnavailable(GpuUnavailableReason.BadRequest, $"There is no backend {(int)request.Backend}; use auto, cuda or host.");
            return false;
        }

        var namesHost = request.Gpu is { IsHostMemory: true };
        if (request.Backend == BackendChoice.Host || (request.Backend == BackendChoice.Auto && namesHost))
        {
            return TryOpenHost(request, out memory, out problem);
        }

        if (TryOpenCuda(request, out memory, out problem))
        {
            return true;
        }

        // A broken driver is an error to be told, not a reason to lend main memory in silence.
        var isWithoutGpu = problem.Reason is GpuUnavailableReason.DriverNotFound or GpuUnavailableReason.NoDevice;
        return request is { Backend: BackendChoice.Auto, Gpu: null, Index: null } && isWithoutGpu && TryOpenHost(request, out memory, out problem);
    }

    private static bool TryOpenCuda(
        VirtualMemoryRequest request, [NotNullWhen(true)] out IVirtualMemory? memory, [NotNullWhen(false)] out GpuUnavailable? problem)
    {
        memory = null;
        GpuId? wanted = request.Gpu;
        if (wanted is null && request.Index is { } index)
        {
            // The driver's own ordinals follow CUDA_VISIBLE_DEVICES; a UUID means the same GPU to both.
            if (!NvmlDevices.TryFind(index, out var device, out problem))
            {
                return false;
            }

            wanted = device.Id;
        }

        if (!CudaVirtualMemory.TryOpen(wanted, ordinal: null, out var cuda, out problem))
        {
            return false;
        }

        memory = cuda;
        return true;
    }

    private static bool TryOpenHost(
        VirtualMemoryRequest request, [NotNullWhen(true)] out IVirtualMemory? memory, [NotNullWhen(false)] out GpuUnavailable? problem)
    {
        memory = null;
        problem = null;
        try
        {
            memory = new HostVirtualMemory(request.Gpu is { } id ? request.Host with { Gpu = id } : request.Host);
            return true;
        }
        catch (ArgumentException e)
        {
            problem = new GpuUnavailable(GpuUnavailableReason.BadRequest, e.Message);
            return false;
        }
    }
}
