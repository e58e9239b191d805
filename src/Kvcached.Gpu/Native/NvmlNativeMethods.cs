using System.Runtime.InteropServices;

namespace Kvcached.Gpu.Native;

/// <summary>The few functions of NVML that tell what GPUs there are; none of them makes a CUDA context.</summary>
internal static partial class NvmlNativeMethods
{
    internal const int Success = 0;

    /// <summary>Bytes of the buffers for names and UUIDs, as nvml.h recommends.</summary>
    internal const int TextBytes = 96;

    private const string Library = NativeLibraries.Nvml;

    [LibraryImport(Library)]
    internal static partial int nvmlInit_v2();

    [LibraryImport(Library)]
    internal static partial nint nvmlErrorString(int result);

    [LibraryImport(Library)]
    internal static partial int nvmlSystemGetDriverVersion([Out] byte[] version, uint length);

    [LibraryImport(Library)]
    internal static partial int nvmlDeviceGetCount_v2(out uint deviceCount);

    [LibraryImport(Library)]
    internal static partial int nvmlDeviceGetHandleByIndex_v2(uint index, out NvmlDeviceHandle device);

    [LibraryImport(Library)]
    internal static partial int nvmlDeviceGetHandleByUUID([In] byte[] uuid, out NvmlDeviceHandle device);

    [LibraryImport(Library)]
    internal static partial int nvmlDeviceGetUUID(NvmlDeviceHandle device, [Out] byte[] uuid, uint length);

    [LibraryImport(Library)]
    internal static partial int nvmlDeviceGetName(NvmlDeviceHandle device, [Out] byte[] name, uint length);

    [LibraryImport(Library)]
    internal static partial int nvmlDeviceGetMemoryInfo(NvmlDeviceHandle device, out NvmlMemory memory);
}

internal readonly record struct NvmlDeviceHandle(nint Pointer);

[StructLayout(LayoutKind.Sequential)]
internal struct NvmlMemory
{
    public ulong total;
    public ulong free;
    public ulong used;
}
