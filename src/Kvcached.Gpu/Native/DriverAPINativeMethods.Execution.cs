using System.Runtime.InteropServices;

namespace Kvcached.Gpu.Native;

internal static partial class DriverAPINativeMethods
{
    internal static partial class ModuleManagement
    {
        /// <param name="module">The loaded module.</param>
        /// <param name="image">A cubin, or PTX text that ends in a zero byte.</param>
        [LibraryImport(Library)]
        internal static partial CUResult cuModuleLoadData(out CUmodule module, [In] byte[] image);

        [LibraryImport(Library)]
        internal static partial CUResult cuModuleUnload(CUmodule hmod);

        [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
        internal static partial CUResult cuModuleGetFunction(out CUfunction hfunc, CUmodule hmod, string name);
    }

    internal static partial class Launch
    {
        /// <param name="f">The kernel.</param>
        /// <param name="gridDimX">Blocks along x, and so on.</param>
        /// <param name="gridDimY">Blocks along y.</param>
        /// <param name="gridDimZ">Blocks along z.</param>
        /// <param name="blockDimX">Threads of a block along x, and so on.</param>
        /// <param name="blockDimY">Threads along y.</param>
        /// <param name="blockDimZ">Threads along z.</param>
        /// <param name="sharedMemBytes">Dynamic shared memory per block, in bytes.</param>
        /// <param name="hStream">The stream; the default value is the null stream.</param>
        /// <param name="kernelParams">One pointer per parameter, to its value.</param>
        /// <param name="extra">Null.</param>
        [LibraryImport(Library)]
        internal static partial CUResult cuLaunchKernel(
            CUfunction f,
            uint gridDimX,
            uint gridDimY,
            uint gridDimZ,
            uint blockDimX,
            uint blockDimY,
            uint blockDimZ,
            uint sharedMemBytes,
            CUstream hStream,
            [In] nint[] kernelParams,
            [In] nint[]? extra);
    }

    internal static partial class Streams
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuStreamCreate(out CUstream phStream, CUStreamFlags Flags);

        [LibraryImport(Library)]
        internal static partial CUResult cuStreamSynchronize(CUstream hStream);

        [LibraryImport(Library)]
        internal static partial CUResult cuStreamDestroy_v2(CUstream hStream);
    }
}
