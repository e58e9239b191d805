using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Faults;

/// <summary>
/// Stands before a backend and makes chosen calls fail, wait or hang, as drivers do on a bad day; counts calls and what is held.
/// A call that it fails never reaches the backend. Safe for use by several threads.
/// </summary>
public sealed class FaultInjectingVirtualMemory(IVirtualMemory inner, TimeProvider time) : IVirtualMemory
{
    private readonly Lock _gate = new();
    private readonly long[] _calls = new long[Enum.GetValues<VirtualMemoryOperation>().Length];
    private readonly Dictionary<MemoryHandle, (long Bytes, int Count)> _handles = [];
    private readonly HashSet<nint> _reservations = [];
    private readonly SortedList<nint, long> _mappings = [];
    private ImmutableList<FaultPlan> _plans = [];

    public string Backend => inner.Backend;

    public GpuId Gpu => inner.Gpu;

    public string DeviceName => inner.DeviceName;

    public long GranularityBytes => inner.GranularityBytes;

    public long TotalBytes => inner.TotalBytes;

    public bool IsHostAccessible => inner.IsHostAccessible && !HidesFromProcessor;

    /// <summary>True hides that the processor can reach the memory, as if it were a GPU's: then handles are kept apart from their mappings.</summary>
    public bool HidesFromProcessor { get; init; }

    /// <summary>False hides that the backend can reserve readable addresses, as if it were a GPU's.</summary>
    public bool HasReadableReservations { get; init; } = true;

    /// <summary>What is held now by users of this backend.</summary>
    public LiveCounts Live
    {
        get
        {
            lock (_gate)
            {
                return new LiveCounts(
                    _reservations.Count, _handles.Values.Sum(h => h.Count), _mappings.Count, _handles.Values.Sum(h => h.Bytes * h.Count));
            }
        }
    }

    /// <summary>Calls so far, those that were made to fail among them.</summary>
    public long CallCount(VirtualMemoryOperation operation)
    {
        lock (_gate)
        {
            return _calls[(int)operation];
        }
    }

    /// <summary>Calls of all operations so far.</summary>
    public long TotalCallCount
    {
        get
        {
            lock (_gate)
            {
                return _calls.Sum();
            }
        }
    }

    /// <summary>Fails the <paramref name="nth"/> call from now on (1 = the next) of an operation, or of all together when null.</summary>
    public void FailNth(VirtualMemoryOperation? operation, long nth, DriverCode code) => Plan(operation, nth, nth, code, TimeSpan.Zero, null);

    /// <summary>Fails every call of an operation, or of all of them, from the next on.</summary>
    public void FailAll(VirtualMemoryOperation? operation, DriverCode code) => Plan(operation, 1, null, code, TimeSpan.Zero, null);

    /// <summary>Makes every call of an operation, or of all of them, wait first, from the next on.</summary>
    public void DelayAll(VirtualMemoryOperation? operation, TimeSpan delay) => Plan(operation, 1, null, null, delay, null);

    /// <summary>Makes the <paramref name="nth"/> call from now on hang until it is let go.</summary>
    public HangingCall HangNth(VirtualMemoryOperation? operation, long nth)
    {
        var hanging = new HangingCall();
        Plan(operation, nth, nth, null, TimeSpan.Zero, hanging);
        return hanging;
    }

    /// <summary>Makes every call work again; calls that hang go on hanging until they are let go.</summary>
    public void Heal()
    {
        lock (_gate)
        {
            _plans = [];
        }
    }

    public AddressReservation Reserve(long byteCount)
    {
        Meet(VirtualMemoryOperation.Reserve, byteCount);
        return Keep(inner.Reserve(byteCount));
    }

    public bool TryReserveReadable(long byteCount, [NotNullWhen(true)] out AddressReservation? reservation)
    {
        Meet(VirtualMemoryOperation.Reserve, byteCount);
        reservation = null;
        if (HasReadableReservations && inner.TryReserveReadable(byteCount, out reservation))
        {
            Keep(reservation);
        }

        return reservation is not null;
    }

    public void Free(AddressReservation reservation)
    {
        ArgumentNullException.ThrowIfNull(reservation);
        Meet(VirtualMemoryOperation.Free, reservation.ByteCount);
        var address = reservation.BaseAddress;
        inner.Free(reservation);
        lock (_gate)
        {
            _reservations.Remove(address);
        }
    }

    public bool TryCreate(long byteCount, out MemoryHandle handle)
    {
        handle = default;
        if (Met(VirtualMemoryOperation.Create) is { } code)
        {
            return code == DriverCode.OutOfMemory ? false : throw Failure(VirtualMemoryOperation.Create, code, byteCount);
        }

        if (!inner.TryCreate(byteCount, out handle))
        {
            return false;
        }

        Hold(handle, byteCount);
        return true;
    }

    public void Map(nint address, long byteCount, long handleOffsetBytes, MemoryHandle handle)
    {
        Meet(VirtualMemoryOperation.Map, byteCount);
        inner.Map(address, byteCount, handleOffsetBytes, handle);
        lock (_gate)
        {
            _mappings.Add(address, byteCount);
        }
    }

    public void SetAccess(nint address, long byteCount, MemoryAccess access)
    {
        Meet(VirtualMemoryOperation.SetAccess, byteCount);
        inner.SetAccess(address, byteCount, access);
    }

    public void Unmap(nint address, long byteCount)
    {
        Meet(VirtualMemoryOperation.Unmap, byteCount);
        inner.Unmap(address, byteCount);
        lock (_gate)
        {
            foreach (var mapping in _mappings.Keys.Where(a => a >= address && a < address + (nint)byteCount).ToList())
            {
                _mappings.Remove(mapping);
            }
        }
    }

    public void Release(MemoryHandle handle)
    {
        Meet(VirtualMemoryOperation.Release, 0);
        inner.Release(handle);
        lock (_gate)
        {
            if (_handles.TryGetValue(handle, out var held) && held.Count > 1)
            {
                _handles[handle] = held with { Count = held.Count - 1 };
            }
            else
            {
                _handles.Remove(handle);
            }
        }
    }

    public SafeFileHandle Export(MemoryHandle handle)
    {
        Meet(VirtualMemoryOperation.Export, 0);
        return inner.Export(handle);
    }

    public MemoryHandle Import(SafeFileHandle descriptor, long byteCount)
    {
        Meet(VirtualMemoryOperation.Import, byteCount);
        var handle = inner.Import(descriptor, byteCount);
        Hold(handle, byteCount);
        return handle;
    }

    private AddressReservation Keep(AddressReservation reservation)
    {
        lock (_gate)
        {
            _reservations.Add(reservation.BaseAddress);
        }

        return reservation;
    }

    /// <summary>Disposes the backend behind it.</summary>
    public void Dispose() => inner.Dispose();

    private void Plan(VirtualMemoryOperation? operation, long nth, long? last, DriverCode? code, TimeSpan delay, HangingCall? hanging)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(nth, 1);
        lock (_gate)
        {
            var callsSoFar = operation is { } one ? _calls[(int)one] : _calls.Sum();
            _plans = _plans.Add(new FaultPlan(operation, callsSoFar + nth, last is { } l ? callsSoFar + l : long.MaxValue, code, delay, hanging));
        }
    }

    /// <summary>A driver may answer an import with a handle that this process already has; each then needs a release.</summary>
    private void Hold(MemoryHandle handle, long byteCount)
    {
        lock (_gate)
        {
            _handles[handle] = (byteCount, _handles.TryGetValue(handle, out var held) ? held.Count + 1 : 1);
        }
    }

    private void Meet(VirtualMemoryOperation operation, long bytes)
    {
        if (Met(operation) is { } code)
        {
            throw Failure(operation, code, bytes);
        }
    }

    /// <summary>Counts the call, waits as planned, and returns the code to fail with.</summary>
    private DriverCode? Met(VirtualMemoryOperation operation)
    {
        List<FaultPlan> hits;
        lock (_gate)
        {
            var call = ++_calls[(int)operation];
            var all = _calls.Sum();
            hits = [.. _plans.Where(p => p.Hits(operation, call, all))];
        }

        DriverCode? code = null;
        foreach (var plan in hits)
        {
            plan.Hanging?.Hang();
            if (plan.Delay > TimeSpan.Zero)
            {
                Task.Delay(plan.Delay, time).GetAwaiter().GetResult();
            }

            code ??= plan.Code;
        }

        return code;
    }

    private VirtualMemoryException Failure(VirtualMemoryOperation operation, DriverCode code, long bytes) =>
        new(operation, $"injected {operation}", code, Gpu, bytes);
}
