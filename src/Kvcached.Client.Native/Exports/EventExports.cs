using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvcached.Client.Native.Abi;
using Kvcached.Client.Native.Events;

namespace Kvcached.Client.Native.Exports;

/// <summary>Events of pools and arenas; what each does is said in <c>kvcached.h</c>.</summary>
internal static unsafe class EventExports
{
    private const int MaxKept = 1 << 20;

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_events_callback", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetCallback(ulong handle, delegate* unmanaged[Cdecl]<void*, AbiEvent*, void> callback, void* context)
    {
        try
        {
            if (Find(handle) is not { } events)
            {
                return Failure.BadHandle(handle, "pool or arena");
            }

            events.SetCallback(callback, context);
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_events_keep", CallConvs = [typeof(CallConvCdecl)])]
    public static int Keep(ulong handle, int capacity)
    {
        try
        {
            if (Find(handle) is not { } events)
            {
                return Failure.BadHandle(handle, "pool or arena");
            }

            if (capacity is < 0 or > MaxKept)
            {
                return Failure.Argument($"'capacity' is {capacity}; 0 to {MaxKept} events can be kept.");
            }

            events.Keep(capacity);
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_events_poll", CallConvs = [typeof(CallConvCdecl)])]
    public static int Poll(ulong handle, AbiEvent* events, int capacity, int timeoutMs, int* count)
    {
        try
        {
            if (Find(handle) is not { } sink)
            {
                return Failure.BadHandle(handle, "pool or arena");
            }

            if (count == null || events == null || capacity < 1 || timeoutMs < -1)
            {
                return Failure.Argument("'events' and 'count' are pointers, 'capacity' is at least 1, and 'timeout_ms' at least -1.");
            }

            var taken = sink.Take(new Span<AbiEvent>(events, capacity), timeoutMs);
            if (taken < 0)
            {
                return Failure.Because(Status.NotThere, "No events are kept for this handle; call kvc_events_keep first."u8);
            }

            *count = taken;
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_events_descriptor", CallConvs = [typeof(CallConvCdecl)])]
    public static int Descriptor(ulong handle, int* descriptor)
    {
        try
        {
            if (Find(handle) is not { } events)
            {
                return Failure.BadHandle(handle, "pool or arena");
            }

            if (descriptor == null)
            {
                return Failure.NullPointer("descriptor");
            }

            var opened = events.OpenDescriptor();
            if (opened < 0)
            {
                return Failure.Because(Status.NotThere, "No descriptor could be opened; raise the limit on open files (ulimit -n)."u8);
            }

            *descriptor = opened;
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    private static EventSink? Find(ulong handle) => Handles.Table.Find<IEventSource>(handle)?.Events;
}
