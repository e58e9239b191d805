using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.HostMemory;

/// <summary>
/// Main memory that behaves like a GPU's: sealed files without names, mapped into reserved ranges. It holds its users to CUDA's
/// rules, so that what works here works on a GPU, and answers in the driver's codes.
/// </summary>
/// <remarks>
/// It is stricter than the driver in one point: a mapping covers the whole of its memory. Imported memory belongs to its creator
/// and doesn't count towards the capacity.
/// </remarks>
public sealed partial class HostVirtualMemory : IVirtualMemory
{
    private const int ReservedFlags = Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE;

    private readonly Lock _gate = new();
    private readonly bool _isCommitted;
    private readonly Dictionary<ulong, SealedMemory> _handles = [];
    private readonly Dictionary<nint, ReservedRange<HostMapping>> _reservations = [];
    private ulong _lastHandle;
    private long _createdBytes;
    private bool _isDisposed;

    /// <exception cref="ArgumentException">The options are out of range.</exception>
    public HostVirtualMemory(HostVirtualMemoryOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (!options.Gpu.IsHostMemory)
        {
            throw new ArgumentException($"'{options.Gpu}' can't name main memory; use an id like HOST-0.", nameof(options));
        }

        if (!long.IsPow2(options.GranularityBytes) || options.GranularityBytes < Environment.SystemPageSize || options.GranularityBytes > ByteSize.GiB)
        {
            throw new ArgumentException(
                $"The granularity is {options.GranularityBytes} bytes; it must be a power of two from {Environment.SystemPageSize} to 1 GiB.", nameof(options));
        }

        if (options.CapacityBytes < options.GranularityBytes)
        {
            throw new ArgumentException($"The capacity is {options.CapacityBytes} bytes, less than one page of {options.GranularityBytes}.", nameof(options));
        }

        Gpu = options.Gpu;
        GranularityBytes = options.GranularityBytes;
        TotalBytes = options.CapacityBytes;
        _isCommitted = options.IsCommitted;
    }

    public string Backend => "host";

    public GpuId Gpu { get; }

    public string DeviceName => "main memory";

    public long GranularityBytes { get; }

    public long TotalBytes { get; }

    public bool IsHostAccessible => true;

    /// <summary>Bytes created here that are not released, or still mapped.</summary>
    public long CreatedBytes
    {
        get
        {
            lock (_gate)
            {
                return _createdBytes;
            }
        }
    }

    public AddressReservation Reserve(long byteCount) => Reserve(byteCount, isReadable: false);

    public bool TryReserveReadable(long byteCount, [NotNullWhen(true)] out AddressReservation? reservation)
    {
        reservation = Reserve(byteCount, isReadable: true);
        return true;
    }

    private AddressReservation Reserve(long byteCount, bool isReadable)
    {
        RequireSize(VirtualMemoryOperation.Reserve, "mmap", byteCount);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            var slack = GranularityBytes - Environment.SystemPageSize;
            var start = byteCount > long.MaxValue - slack
                ? Libc.MAP_FAILED
                : Libc.mmap(0, (nuint)(byteCount + slack), UnmappedProtection(isReadable), ReservedFlags, -1, 0);
            if (start == Libc.MAP_FAILED)
            {
                Throw(VirtualMemoryOperation.Reserve, new NativeFailure("mmap", DriverCode.OutOfMemory, "No such range of addresses is free"), byteCount);
            }

            var address = (nint)((start + slack) & ~(GranularityBytes - 1));
            Trim(start, address - start);
            Trim(address + (nint)byteCount, start + (nint)slack - address);
            _reservations.Add(address, new ReservedRange<HostMapping>(address, byteCount) { IsReadable = isReadable });
            return new AddressReservation(address, byteCount, (a, b) => TryFree(a, b, out _));
        }
    }

    public void Free(AddressReservation reservation)
    {
        ArgumentNullException.ThrowIfNull(reservation);
        ObjectDisposedException.ThrowIf(reservation.IsClosed || reservation.IsInvalid, reservation);
        if (!TryFree(reservation.BaseAddress, reservation.ByteCount, out var failure))
        {
            Throw(VirtualMemoryOperation.Free, failure, reservation.ByteCount);
        }

        reservation.MarkFreed();
    }

    public bool TryCreate(long byteCount, out MemoryHandle handle)
    {
        RequireSize(VirtualMemoryOperation.Create, "memfd_create", byteCount);
        handle = default;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            if (byteCount > TotalBytes - _createdBytes)
            {
                return false;
            }

            var memory = SealedMemory.TryCreate(byteCount, _isCommitted, out var failure);
            if (memory is null)
            {
                return failure.Code != DriverCode.OutOfMemory && Throw(VirtualMemoryOperation.Create, failure, byteCount);
            }

            _createdBytes += byteCount;
            handle = Register(memory);
            return true;
        }
    }

    public void Release(MemoryHandle handle)
    {
        lock (_gate)
        {
            var memory = Find(VirtualMemoryOperation.Release, handle, 0);
            _handles.Remove(handle.Value);
            memory.IsReleased = true;
            memory.Descriptor.Dispose();
            Settle(memory);
        }
    }

    public SafeFileHandle Export(MemoryHandle handle)
    {
        lock (_gate)
        {
            var memory = Find(VirtualMemoryOperation.Export, handle, 0);
            if (memory.IsImported)
            {
                Throw(VirtualMemoryOperation.Export, Invalid("fcntl(F_DUPFD_CLOEXEC)", "Imported memory can't be exported; pass its file descriptor on"), memory.ByteCount);
            }

            if (!FileDescriptors.TryDuplicateHigh(memory.Descriptor, out var descriptor, out var problem))
            {
                Throw(
                    VirtualMemoryOperation.Export,
                    new NativeFailure("fcntl(F_DUPFD_CLOEXEC)", DriverCode.OperatingSystem, problem.TrimEnd('.')), memory.ByteCount);
            }

            return descriptor;
        }
    }

    public MemoryHandle Import(SafeFileHandle descriptor, long byteCount)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        RequireSize(VirtualMemoryOperation.Import, "fcntl", byteCount);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            var memory = SealedMemory.TryImport(descriptor, byteCount, out var failure);
            if (memory is null)
            {
                Throw(VirtualMemoryOperation.Import, failure, byteCount);
            }

            return Register(memory);
        }
    }

    /// <summary>Releases every handle and gives every range back, mapped or not.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            foreach (var memory in _handles.Values)
            {
                memory.Descriptor.Dispose();
            }

            foreach (var reservation in _reservations.Values)
            {
                Trim(reservation.BaseAddress, (nint)reservation.ByteCount);
            }

            _handles.Clear();
            _reservations.Clear();
            _createdBytes = 0;
        }
    }

    private bool TryFree(nint address, long byteCount, out NativeFailure failure)
    {
        lock (_gate)
        {
            failure = default;
            if (!_reservations.TryGetValue(address, out var reservation) || reservation.ByteCount != byteCount)
            {
                failure = Invalid("munmap", "Nothing is reserved there");
                return _isDisposed;
            }

            if (!reservation.IsEmpty)
            {
                failure = Invalid("munmap", "Memory is still mapped there; unmap it first");
                return false;
            }

            if (Libc.munmap(address, (nuint)byteCount) != 0)
            {
                failure = NativeFailure.Last("munmap");
                return false;
            }

            return _reservations.Remove(address);
        }
    }

    /// <summary>Memory counts until its handle is released and its last mapping gone.</summary>
    private void Settle(SealedMemory memory)
    {
        if (memory is { IsReleased: true, MappingCount: 0, IsImported: false })
        {
            _createdBytes -= memory.ByteCount;
        }
    }

    private MemoryHandle Register(SealedMemory memory)
    {
        var handle = new MemoryHandle(++_lastHandle);
        _handles.Add(handle.Value, memory);
        return handle;
    }

    private SealedMemory Find(VirtualMemoryOperation operation, MemoryHandle handle, long byteCount)
    {
        if (!_handles.TryGetValue(handle.Value, out var memory))
        {
            Throw(operation, Invalid(operation.ToString(), $"{handle} is not a handle of this memory"), byteCount);
        }

        return memory;
    }

    private void RequireSize(VirtualMemoryOperation operation, string call, long byteCount)
    {
        if (byteCount <= 0 || byteCount % GranularityBytes != 0)
        {
            Throw(operation, Invalid(call, $"The size must be a positive multiple of {GranularityBytes} bytes"), byteCount);
        }
    }

    private static void Trim(nint address, nint byteCount)
    {
        if (byteCount > 0)
        {
            _ = Libc.munmap(address, (nuint)byteCount);
        }
    }

    private static NativeFailure Invalid(string call, string detail) => new(call, DriverCode.InvalidValue, detail);

    [DoesNotReturn]
    private bool Throw(VirtualMemoryOperation operation, in NativeFailure failure, long byteCount) =>
        throw new VirtualMemoryException(operation, failure.Call, failure.Code, Gpu, byteCount, failure.Detail);
}
