using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Text;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Native;

namespace Kvcached.Gpu.Devices;

/// <summary>Lists the machine's GPUs without making a CUDA context.</summary>
public static class NvmlDevices
{
    private static readonly Lock Gate = new();
    private static bool _isStarted;

    /// <summary>All GPUs by index. False, with the reason, when there is no working driver; an empty list is a success.</summary>
    public static bool TryList(out ImmutableArray<NvmlDevice> devices, [NotNullWhen(false)] out GpuUnavailable? problem)
    {
        devices = [];
        lock (Gate)
        {
            problem = Start();
            if (problem is not null)
            {
                return false;
            }

            var version = new byte[NvmlNativeMethods.TextBytes];
            var code = NvmlNativeMethods.nvmlSystemGetDriverVersion(version, (uint)version.Length);
            var count = 0u;
            code = code == NvmlNativeMethods.Success ? NvmlNativeMethods.nvmlDeviceGetCount_v2(out count) : code;
            var found = ImmutableArray.CreateBuilder<NvmlDevice>();
            for (var index = 0u; code == NvmlNativeMethods.Success && index < count; index++)
            {
                code = Read(index, Text(version), found);
            }

            if (code != NvmlNativeMethods.Success)
            {
                problem = Failed(code);
                return false;
            }

            devices = found.ToImmutable();
            return true;
        }
    }

    /// <summary>The GPU with this UUID.</summary>
    public static bool TryFind(GpuId id, [NotNullWhen(true)] out NvmlDevice? device, [NotNullWhen(false)] out GpuUnavailable? problem) =>
        TryFind(d => d.Id == id, id.ToString(), out device, out problem);

    /// <summary>The GPU with this index, from 0.</summary>
    public static bool TryFind(int index, [NotNullWhen(true)] out NvmlDevice? device, [NotNullWhen(false)] out GpuUnavailable? problem) =>
        TryFind(d => d.Index == index, $"GPU {index}", out device, out problem);

    /// <summary>How much of a GPU's memory is in use; asks about that GPU only, so that it can be asked often.</summary>
    /// <param name="id">Its UUID.</param>
    /// <param name="use">What the driver says.</param>
    /// <param name="problem">Why it doesn't.</param>
    public static bool TryReadUse(GpuId id, out DeviceUse use, [NotNullWhen(false)] out GpuUnavailable? problem)
    {
        use = default;
        lock (Gate)
        {
            problem = Start();
            if (problem is not null)
            {
                return false;
            }

            var memory = default(NvmlMemory);
            var code = NvmlNativeMethods.nvmlDeviceGetHandleByUUID([.. Encoding.UTF8.GetBytes(id.Value), 0], out var handle);
            code = code == NvmlNativeMethods.Success ? NvmlNativeMethods.nvmlDeviceGetMemoryInfo(handle, out memory) : code;
            use = new DeviceUse((long)memory.total, (long)memory.used);
            problem = code == NvmlNativeMethods.Success ? null : Failed(code);
            return problem is null;
        }
    }

    private static bool TryFind(
        Func<NvmlDevice, bool> isWanted, string wanted, [NotNullWhen(true)] out NvmlDevice? device, [NotNullWhen(false)] out GpuUnavailable? problem)
    {
        device = null;
        if (!TryList(out var devices, out problem))
        {
            return false;
        }

        device = devices.FirstOrDefault(isWanted);
        if (device is not null)
        {
            return true;
        }

        problem = devices.IsEmpty
            ? new GpuUnavailable(GpuUnavailableReason.NoDevice, "The driver is loaded, but this machine has no GPU.")
            : new GpuUnavailable(
                GpuUnavailableReason.DeviceNotFound,
                $"{wanted} isn't on this machine; it has {string.Join(", ", devices.Select(d => $"{d.Index}: {d.Id}"))}.");
        return false;
    }

    private static GpuUnavailable? Start()
    {
        if (_isStarted)
        {
            return null;
        }

        if (!NativeLibraries.TryLoad(NativeLibraries.Nvml, out _))
        {
            return new GpuUnavailable(
                GpuUnavailableReason.DriverNotFound,
                $"NVML was not found: none of {string.Join(", ", NativeLibraries.NvmlCandidates)} could be loaded. Install the NVIDIA driver, or run "
                + "the container with the NVIDIA container toolkit (--gpus, capability 'utility').",
                NativeLibraries.NvmlCandidates);
        }

        var code = NvmlNativeMethods.nvmlInit_v2();
        if (code != NvmlNativeMethods.Success)
        {
            return Failed(code);
        }

        _isStarted = true;
        return null;
    }

    private static int Read(uint index, string driverVersion, ImmutableArray<NvmlDevice>.Builder found)
    {
        var name = new byte[NvmlNativeMethods.TextBytes];
        var uuid = new byte[NvmlNativeMethods.TextBytes];
        var memory = default(NvmlMemory);
        var code = NvmlNativeMethods.nvmlDeviceGetHandleByIndex_v2(index, out var handle);
        code = code == NvmlNativeMethods.Success ? NvmlNativeMethods.nvmlDeviceGetUUID(handle, uuid, (uint)uuid.Length) : code;
        code = code == NvmlNativeMethods.Success ? NvmlNativeMethods.nvmlDeviceGetName(handle, name, (uint)name.Length) : code;
        code = code == NvmlNativeMethods.Success ? NvmlNativeMethods.nvmlDeviceGetMemoryInfo(handle, out memory) : code;
        if (code == NvmlNativeMethods.Success && GpuId.TryParse(Text(uuid), out var id))
        {
            found.Add(new NvmlDevice((int)index, id, Text(name), (long)memory.total, (long)memory.used, driverVersion));
        }

        return code;
    }

    private static GpuUnavailable Failed(int code) =>
        new(GpuUnavailableReason.DriverFailed,
            $"NVML answered {code}: {Marshal.PtrToStringUTF8(NvmlNativeMethods.nvmlErrorString(code))}. See whether nvidia-smi works.");

    private static string Text(ReadOnlySpan<byte> zeroTerminated)
    {
        var end = zeroTerminated.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? zeroTerminated : zeroTerminated[..end]);
    }
}
