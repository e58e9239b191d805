using System.Collections.Concurrent;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Cuda;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;
using Contexts = Kvcached.Gpu.Native.DriverAPINativeMethods.ContextManagement;
using Events = Kvcached.Gpu.Native.DriverAPINativeMethods.Events;
using Streams = Kvcached.Gpu.Native.DriverAPINativeMethods.Streams;

namespace Kvcached.Gpu.Fences;

/// <summary>
/// Events of the engine's own CUDA context. Never makes a context: it takes the one that is current where work is marked, and waits in the
/// device's primary context only if that is in use.
/// </summary>
internal sealed class CudaFences : IStreamFences
{
    private readonly CUdevice _device;
    private readonly ConcurrentStack<nint> _spareEvents = new();
    private readonly ConcurrentDictionary<nint, byte> _streams = [];
    private nint _context;

    private CudaFences(CUdevice device) => _device = device;

    public bool IsImmediate => false;

    /// <exception cref="VirtualMemoryException">The driver doesn't know that device.</exception>
    public static CudaFences Open(GpuId gpu)
    {
        if (CudaDriver.TryFind(gpu, ordinal: null, out var device, out _) is { } problem)
        {
            throw new VirtualMemoryException(VirtualMemoryOperation.Reserve, "cuDeviceGet", DriverCode.InvalidDevice, gpu, 0, problem.Text.TrimEnd('.'));
        }

        var fences = new CudaFences(device);
        fences.NoteContext();
        return fences;
    }

    public bool TryRecord(nint stream, out nint ticket)
    {
        ticket = 0;
        var target = new CUstream(stream);

        _streams.TryAdd(stream, 0);

        // An event that is recorded during a capture becomes part of the graph, and can't be asked for.
        if (!NoteContext() || IsCapturing(target))
        {
            return false;
        }

        if (!_spareEvents.TryPop(out ticket))
        {
            if (Events.cuEventCreate(out var made, CUEventFlags.DisableTiming) != CUResult.Success)
            {
                return false;
            }

            ticket = made.Pointer;
        }

        if (Events.cuEventRecord(new CUevent(ticket), target) == CUResult.Success)
        {
            return true;
        }

        _ = Events.cuEventDestroy_v2(new CUevent(ticket));
        return false;
    }

    public bool IsComplete(nint ticket)
    {
        UseContext();
        var result = Events.cuEventQuery(new CUevent(ticket));
        if (result == CUResult.ErrorNotReady || IsAboutCapture(result))
        {
            return false;
        }

        if (result == CUResult.Success)
        {
            _spareEvents.Push(ticket);
        }

        // Any other answer means that the context is lost, and all its work with it.
        return true;
    }

    public void PrepareThread() => RelaxCapture();

    public bool TrySynchronize()
    {
        RelaxCapture();
        if (Volatile.Read(ref _context) is not 0 and var known)
        {
            // A context that can't be made current is gone, and its work with it. To wait for one spoils every capture in it, whatever the thread
            // says of itself; so the streams that are known are asked first. The default stream can be asked for only with a context.
            return Contexts.cuCtxSetCurrent(new CUcontext(known)) != CUResult.Success
                || (!_streams.Keys.Any(stream => IsCapturing(new CUstream(stream))) && !IsAboutCapture(Contexts.cuCtxSynchronize()));
        }

        // Nothing was ever marked. A primary context that isn't active has no work; one that is must not end meanwhile.
        if (Contexts.cuDevicePrimaryCtxGetState(_device, out _, out var isActive) != CUResult.Success || isActive == 0
            || Contexts.cuDevicePrimaryCtxRetain(out var primary, _device) != CUResult.Success)
        {
            return true;
        }

        try
        {
            return Contexts.cuCtxSetCurrent(primary) != CUResult.Success || !IsAboutCapture(Contexts.cuCtxSynchronize());
        }
        finally
        {
            _ = Contexts.cuCtxSetCurrent(default);
            _ = Contexts.cuDevicePrimaryCtxRelease(_device);
        }
    }

    public void Dispose()
    {
        // The thread is the engine's, and so is what is current on it.
        var isKnown = Contexts.cuCtxGetCurrent(out var before) == CUResult.Success;
        UseContext();
        while (_spareEvents.TryPop(out var spare))
        {
            _ = Events.cuEventDestroy_v2(new CUevent(spare));
        }

        if (isKnown)
        {
            _ = Contexts.cuCtxSetCurrent(before);
        }
    }

    private static bool IsCapturing(CUstream stream) =>
        Streams.cuStreamIsCapturing(stream, out var status) != CUResult.Success || status != CUStreamCaptureStatus.None;

    private static bool IsAboutCapture(CUResult result) => (int)result is >= 900 and <= 908;

    private static void RelaxCapture()
    {
        // Asking for an event while another thread captures a graph would spoil the capture, unless this thread says that it means no harm.
        var mode = CUStreamCaptureMode.Relaxed;
        _ = Streams.cuThreadExchangeStreamCaptureMode(ref mode);
    }

    /// <summary>Remembers the context of the calling thread, the first that there is. False when it has none, or another.</summary>
    private bool NoteContext()
    {
        if (Contexts.cuCtxGetCurrent(out var current) != CUResult.Success || current == default)
        {
            return false;
        }

        var known = Interlocked.CompareExchange(ref _context, current.Pointer, 0);
        return known == 0 || known == current.Pointer;
    }

    private void UseContext()
    {
        if (Volatile.Read(ref _context) is not 0 and var context)
        {
            _ = Contexts.cuCtxSetCurrent(new CUcontext(context));
        }
    }
}
