using System.Runtime.InteropServices;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Devices;
using Kvcached.Gpu.Native;

namespace Kvcached.Gpu.Cuda;

/// <summary>Loads and starts the CUDA driver, and finds devices by UUID. Makes no context.</summary>
internal static class CudaDriver
{
    /// <summary>Starts the driver, or says why it can't be.</summary>
    internal static GpuUnavailable? TryStart()
    {
        if (!NativeLibraries.TryLoad(NativeLibraries.Cuda, out var library))
        {
            return new GpuUnavailable(
                GpuUnavailableReason.DriverNotFound,
                $"The CUDA driver was not found: none of {string.Join(", ", NativeLibraries.CudaCandidates)} could be loaded. Install the NVIDIA "
                + "driver (the package that brings libcuda.so.1), or run the container with the NVIDIA container toolkit (--gpus).",
                NativeLibraries.CudaCandidates);
        }

        if (NativeLibraries.FindMissingExport(library, DriverAPINativeMethods.RequiredExports) is { } missing)
        {
            return new GpuUnavailable(GpuUnavailableReason.DriverTooOld, $"The CUDA driver lacks {missing}. Install driver 470 or newer.");
        }

        var result = DriverAPINativeMethods.cuInit(CUInitializationFlags.None);
        return result switch
        {
            CUResult.Success => null,
            CUResult.ErrorNoDevice => new GpuUnavailable(
                GpuUnavailableReason.NoDevice, "The CUDA driver is loaded, but sees no GPU. See CUDA_VISIBLE_DEVICES and the container's devices."),
            _ => new GpuUnavailable(GpuUnavailableReason.DriverFailed, $"cuInit failed: {Describe(result)}. See whether nvidia-smi works."),
        };
    }

    /// <summary>The device with this UUID, or with this ordinal, or the first.</summary>
    internal static GpuUnavailable? TryFind(GpuId? wanted, int? ordinal, out CUdevice device, out GpuId id)
    {
        device = default;
        id = default;
        if (TryStart() is { } problem)
        {
            return problem;
        }

        var seen = new List<GpuId>();
        var result = DriverAPINativeMethods.DeviceManagement.cuDeviceGetCount(out var count);
        for (var i = 0; i < count && result == CUResult.Success; i++)
        {
            result = DriverAPINativeMethods.DeviceManagement.cuDeviceGet(out device, i);
            var uuid = default(CUuuid);
            result = result == CUResult.Success ? DriverAPINativeMethods.DeviceManagement.cuDeviceGetUuid_v2(out uuid, device) : result;
            id = Format(uuid);
            if (result == CUResult.Success && (wanted is { } w ? IsSame(w, id) : i == (ordinal ?? 0)))
            {
                id = wanted ?? id;
                return null;
            }

            seen.Add(id);
        }

        if (result != CUResult.Success)
        {
            return new GpuUnavailable(GpuUnavailableReason.DriverFailed, $"The CUDA driver can't list its GPUs: {Describe(result)}.");
        }

        return count == 0
            ? new GpuUnavailable(GpuUnavailableReason.NoDevice, "The CUDA driver is loaded, but sees no GPU. See CUDA_VISIBLE_DEVICES.")
            : new GpuUnavailable(
                GpuUnavailableReason.DeviceNotFound,
                $"{(wanted is { } missing ? missing.ToString() : $"GPU {ordinal}")} isn't visible to the CUDA driver, which sees {string.Join(", ", seen)}. "
                + "See CUDA_VISIBLE_DEVICES.");
    }

    /// <summary>Name and number of a code, in the driver's own words where it has them.</summary>
    internal static string Describe(CUResult result)
    {
        var text = DriverAPINativeMethods.ErrorHandling.cuGetErrorString(result, out var pointer) == CUResult.Success
            ? Marshal.PtrToStringUTF8(pointer)
            : null;
        return text is null ? $"code {(int)result}" : $"{text} ({(int)result})";
    }

    internal static GpuId Format(in CUuuid uuid)
    {
        ReadOnlySpan<byte> bytes = uuid;
        var hex = Convert.ToHexStringLower(bytes);
        return GpuId.Parse($"GPU-{hex[..8]}-{hex[8..12]}-{hex[12..16]}-{hex[16..20]}-{hex[20..]}");
    }

    /// <summary>A slice of a partitioned GPU has the same form of UUID under the prefix <c>MIG-</c>.</summary>
    private static bool IsSame(GpuId wanted, GpuId seen)
    {
        var text = wanted.Value;
        return string.Equals(text.StartsWith("MIG-", StringComparison.OrdinalIgnoreCase) ? $"GPU-{text[4..]}" : text, seen.Value, StringComparison.OrdinalIgnoreCase);
    }
}
