using System.Runtime.InteropServices;

namespace Kvcached.Gpu.Native;

/// <summary>
/// The CUDA driver API. Names, nesting and argument order are those of ManagedCuda, so that it could take this class's place;
/// <c>out</c> and <c>in</c> stand where it says <c>ref</c>, <c>nuint</c> where it says <c>SizeT</c>, and values come from cuda.h.
/// </summary>
internal static partial class DriverAPINativeMethods
{
    private const string Library = NativeLibraries.Cuda;

    /// <summary>Functions without which nothing here works; a driver that lacks one is too old (before 11.4).</summary>
    internal static readonly string[] RequiredExports =
    [
        "cuInit", "cuDeviceGetUuid_v2", "cuMemAddressReserve", "cuMemAddressFree", "cuMemCreate", "cuMemRelease", "cuMemMap", "cuMemUnmap",
        "cuMemSetAccess", "cuMemExportToShareableHandle", "cuMemImportFromShareableHandle", "cuMemGetAllocationGranularity",
    ];

    [LibraryImport(Library)]
    internal static partial CUResult cuInit(CUInitializationFlags Flags);

    [LibraryImport(Library)]
    internal static partial CUResult cuDriverGetVersion(out int driverVersion);

    internal static partial class DeviceManagement
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuDeviceGet(out CUdevice device, int ordinal);

        [LibraryImport(Library)]
        internal static partial CUResult cuDeviceGetCount(out int count);

        [LibraryImport(Library)]
        internal static partial CUResult cuDeviceGetName([Out] byte[] name, int len, CUdevice dev);

        [LibraryImport(Library)]
        internal static partial CUResult cuDeviceGetUuid_v2(out CUuuid uuid, CUdevice dev);

        [LibraryImport(Library)]
        internal static partial CUResult cuDeviceTotalMem_v2(out nuint bytes, CUdevice dev);

        [LibraryImport(Library)]
        internal static partial CUResult cuDeviceGetAttribute(out int pi, CUDeviceAttribute attrib, CUdevice dev);
    }

    internal static partial class ContextManagement
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuDevicePrimaryCtxRetain(out CUcontext pctx, CUdevice dev);

        [LibraryImport(Library, EntryPoint = "cuDevicePrimaryCtxRelease_v2")]
        internal static partial CUResult cuDevicePrimaryCtxRelease(CUdevice dev);

        [LibraryImport(Library)]
        internal static partial CUResult cuDevicePrimaryCtxGetState(CUdevice dev, out uint flags, out int active);

        [LibraryImport(Library)]
        internal static partial CUResult cuCtxSetCurrent(CUcontext ctx);

        [LibraryImport(Library)]
        internal static partial CUResult cuCtxGetCurrent(out CUcontext pctx);

        [LibraryImport(Library)]
        internal static partial CUResult cuCtxSynchronize();
    }

    internal static partial class ErrorHandling
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuGetErrorName(CUResult error, out nint pStr);

        [LibraryImport(Library)]
        internal static partial CUResult cuGetErrorString(CUResult error, out nint pStr);
    }
}
