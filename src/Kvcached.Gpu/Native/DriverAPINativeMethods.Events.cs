using System.Runtime.InteropServices;

namespace Kvcached.Gpu.Native;

internal static partial class DriverAPINativeMethods
{
    internal static partial class Events
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuEventCreate(out CUevent phEvent, CUEventFlags Flags);

        [LibraryImport(Library)]
        internal static partial CUResult cuEventRecord(CUevent hEvent, CUstream hStream);

        [LibraryImport(Library)]
        internal static partial CUResult cuEventQuery(CUevent hEvent);

        [LibraryImport(Library)]
        internal static partial CUResult cuEventDestroy_v2(CUevent hEvent);
    }

    internal static partial class Streams
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuStreamIsCapturing(CUstream hStream, out CUStreamCaptureStatus captureStatus);

        [LibraryImport(Library)]
        internal static partial CUResult cuStreamBeginCapture_v2(CUstream hStream, CUStreamCaptureMode mode);

        [LibraryImport(Library)]
        internal static partial CUResult cuStreamEndCapture(CUstream hStream, out CUgraph phGraph);

        /// <param name="mode">The calling thread's mode from now on; gets the one before.</param>
        [LibraryImport(Library)]
        internal static partial CUResult cuThreadExchangeStreamCaptureMode(ref CUStreamCaptureMode mode);
    }

    internal static partial class Graphs
    {
        [LibraryImport(Library)]
        internal static partial CUResult cuGraphDestroy(CUgraph hGraph);
    }
}
