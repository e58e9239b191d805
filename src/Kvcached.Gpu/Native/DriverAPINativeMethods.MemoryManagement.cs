using System.Runtime.InteropServices;

namespace Kvcached.Gpu.Native;

internal static partial class DriverAPINativeMethods
{
    internal static partial class MemoryManagement
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuMemAddressReserve(out CUdeviceptr ptr, nuint size, nuint alignment, CUdeviceptr addr, ulong flags);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemAddressFree(CUdeviceptr ptr, nuint size);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemCreate(out CUmemGenericAllocationHandle handle, nuint size, in CUmemAllocationProp prop, ulong flags);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemRelease(CUmemGenericAllocationHandle handle);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemMap(CUdeviceptr ptr, nuint size, nuint offset, CUmemGenericAllocationHandle handle, ulong flags);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemUnmap(CUdeviceptr ptr, nuint size);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemSetAccess(CUdeviceptr ptr, nuint size, in CUmemAccessDesc desc, nuint count);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemGetAccess(out ulong flags, in CUmemLocation location, CUdeviceptr ptr);

        /// <summary>The driver writes a file descriptor through its first argument when the type is a POSIX one.</summary>
        [LibraryImport(Library)]
        internal static partial CUResult cuMemExportToShareableHandle(
            out int shareableHandle, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType handleType, ulong flags);

        /// <summary>The descriptor travels by value in the place of a pointer.</summary>
        [LibraryImport(Library)]
        internal static partial CUResult cuMemImportFromShareableHandle(
            out CUmemGenericAllocationHandle handle, nint osHandle, CUmemAllocationHandleType shHandleType);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemGetAllocationGranularity(
            out nuint granularity, in CUmemAllocationProp prop, CUmemAllocationGranularity_flags option);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemGetInfo_v2(out nuint free, out nuint total);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemAlloc_v2(out CUdeviceptr dptr, nuint bytesize);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemFree_v2(CUdeviceptr dptr);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemHostAlloc(out nint pp, nuint bytesize, uint flags);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemFreeHost(nint p);
    }

    internal static partial class Memset
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuMemsetD8_v2(CUdeviceptr dstDevice, byte b, nuint n);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemsetD32_v2(CUdeviceptr dstDevice, uint ui, nuint n);
    }

    internal static partial class MemsetAsync
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuMemsetD32Async(CUdeviceptr dstDevice, uint ui, nuint n, CUstream hStream);
    }

    internal static partial class SynchronousMemcpy_v2
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuMemcpyDtoH_v2(nint dstHost, CUdeviceptr srcDevice, nuint ByteCount);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemcpyHtoD_v2(CUdeviceptr dstDevice, nint srcHost, nuint ByteCount);
    }

    internal static partial class AsynchronousMemcpy_v2
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuMemcpyDtoHAsync_v2(nint dstHost, CUdeviceptr srcDevice, nuint ByteCount, CUstream hStream);

        [LibraryImport(Library)]
        internal static partial CUResult cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, nint srcHost, nuint ByteCount, CUstream hStream);
    }
}
