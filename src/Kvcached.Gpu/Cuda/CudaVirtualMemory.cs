using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Devices;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;
using Microsoft.Win32.SafeHandles;
using Driver = Kvcached.Gpu.Native.DriverAPINativeMethods;
using Vmm = Kvcached.Gpu.Native.DriverAPINativeMethods.MemoryManagement;

namespace Kvcached.Gpu.Cuda;

/// <summary>
/// Memory of one NVIDIA GPU through the driver's virtual memory management. Never has a CUDA context, which would cost about
/// 520 MiB of the GPU: reserving, creating, mapping and sharing need none.
/// </summary>
public sealed class CudaVirtualMemory : IVirtualMemory
{
    private readonly CUmemLocation _location;
    private readonly CUmemAllocationProp _properties;
    private readonly CudaRules _rules = new();

    private CudaVirtualMemory(GpuId gpu, string deviceName, long totalBytes, long granularityBytes, in CUmemAllocationProp properties)
    {
        Gpu = gpu;
        DeviceName = deviceName;
        TotalBytes = totalBytes;
        GranularityBytes = granularityBytes;
        _properties = properties;
        _location = properties.location;
    }

    public string Backend => "cuda";

    public GpuId Gpu { get; }

    public string DeviceName { get; }

    public long GranularityBytes { get; }

    public long TotalBytes { get; }

    public bool IsHostAccessible => false;

    /// <summary>The driver's ordinal of the device, for a process that makes a context on it.</summary>
    internal int DeviceOrdinal => _location.id;

    /// <summary>Opens a GPU by UUID, else by the driver's ordinal, else the first one.</summary>
    public static bool TryOpen(GpuId? gpu, int? ordinal, [NotNullWhen(true)] out CudaVirtualMemory? memory, [NotNullWhen(false)] out GpuUnavailable? problem)
    {
        memory = null;
        problem = CudaDriver.TryFind(gpu, ordinal, out var device, out var id);
        if (problem is not null)
        {
            return false;
        }

        if (!Has(device, CUDeviceAttribute.VirtualMemoryManagementSupported) || !Has(device, CUDeviceAttribute.HandleTypePosixFileDescriptorSupported))
        {
            problem = new GpuUnavailable(
                GpuUnavailableReason.NotSupported, $"{id} can't map memory by handle or share it by file descriptor; use another GPU or a newer driver.");
            return false;
        }

        var properties = new CUmemAllocationProp
        {
            type = CUmemAllocationType.Pinned,
            requestedHandleTypes = CUmemAllocationHandleType.PosixFileDescriptor,
            location = new CUmemLocation { type = CUmemLocationType.Device, id = device.Pointer },
            allocFlags = new CUmemAllocationPropFlags
            {
                gpuDirectRDMACapable = Has(device, CUDeviceAttribute.GpuDirectRdmaWithCudaVmmSupported) ? (byte)1 : (byte)0,
            },
        };
        var name = new byte[256];
        nuint total = 0;
        var result = Driver.DeviceManagement.cuDeviceGetName(name, name.Length - 1, device);
        result = result == CUResult.Success ? Driver.DeviceManagement.cuDeviceTotalMem_v2(out total, device) : result;
        nuint granularity = 0;
        result = result == CUResult.Success
            ? Vmm.cuMemGetAllocationGranularity(out granularity, properties, CUmemAllocationGranularity_flags.Minimum)
            : result;
        if (result != CUResult.Success)
        {
            problem = new GpuUnavailable(GpuUnavailableReason.DriverFailed, $"{id} doesn't say what it is: {CudaDriver.Describe(result)}.");
            return false;
        }

        var deviceName = System.Text.Encoding.UTF8.GetString(name.AsSpan(0, Array.IndexOf(name, (byte)0)));
        memory = new CudaVirtualMemory(id, deviceName, (long)total, (long)granularity, properties);
        return true;
    }

    public AddressReservation Reserve(long byteCount)
    {
        Check(VirtualMemoryOperation.Reserve, Vmm.cuMemAddressReserve(out var pointer, Size(byteCount), (nuint)GranularityBytes, default, 0), byteCount);
        _rules.Reserved((nint)pointer.Pointer, byteCount);
        return new AddressReservation(
            (nint)pointer.Pointer, byteCount,
            (address, bytes) =>
            {
                _rules.Freed(address);
                return Vmm.cuMemAddressFree(new CUdeviceptr((nuint)address), (nuint)bytes) == CUResult.Success;
            });
    }

    /// <summary>False: the driver maps nothing but memory that was created.</summary>
    public bool TryReserveReadable(long byteCount, [NotNullWhen(true)] out AddressReservation? reservation)
    {
        reservation = null;
        return false;
    }

    public void Free(AddressReservation reservation)
    {
        ObjectDisposedException.ThrowIf(reservation.IsClosed || reservation.IsInvalid, reservation);
        Check(VirtualMemoryOperation.Free, Vmm.cuMemAddressFree(At(reservation.BaseAddress), Size(reservation.ByteCount)), reservation.ByteCount);
        _rules.Freed(reservation.BaseAddress);
        reservation.MarkFreed();
    }

    public bool TryCreate(long byteCount, out MemoryHandle handle)
    {
        if (byteCount <= 0)
        {
            Throw(VirtualMemoryOperation.Create, CUResult.ErrorInvalidValue, byteCount, "cuMemCreate");
        }

        var result = Vmm.cuMemCreate(out var created, Size(byteCount), _properties, 0);
        handle = new MemoryHandle(created.Pointer);
        if (result == CUResult.ErrorOutOfMemory)
        {
            return false;
        }

        Check(VirtualMemoryOperation.Create, result, byteCount, "cuMemCreate");
        _rules.Held(handle, byteCount);
        return true;
    }

    public void Map(nint address, long byteCount, long handleOffsetBytes, MemoryHandle handle)
    {
        // An offset is left to the driver, which may learn to take one.
        if (handleOffsetBytes == 0 && !_rules.CanMap(address, byteCount, handle))
        {
            Throw(VirtualMemoryOperation.Map, CUResult.ErrorInvalidValue, byteCount, "cuMemMap");
        }

        Check(VirtualMemoryOperation.Map, Vmm.cuMemMap(At(address), Size(byteCount), Size(handleOffsetBytes), Native(handle), 0), byteCount);
        _rules.Mapped(address, byteCount);
    }

    public void SetAccess(nint address, long byteCount, MemoryAccess access)
    {
        var description = new CUmemAccessDesc { location = _location, flags = (CUmemAccess_flags)access };
        Check(VirtualMemoryOperation.SetAccess, Vmm.cuMemSetAccess(At(address), Size(byteCount), description, 1), byteCount);
    }

    public void Unmap(nint address, long byteCount)
    {
        if (!_rules.IsMapped(address, byteCount))
        {
            Throw(VirtualMemoryOperation.Unmap, CUResult.ErrorInvalidValue, byteCount, "cuMemUnmap");
        }

        Check(VirtualMemoryOperation.Unmap, Vmm.cuMemUnmap(At(address), Size(byteCount)), byteCount);
        _rules.Unmapped(address, byteCount);
    }

    public void Release(MemoryHandle handle)
    {
        Check(VirtualMemoryOperation.Release, Vmm.cuMemRelease(Native(handle)), 0);
        _rules.Released(handle);
    }

    public SafeFileHandle Export(MemoryHandle handle)
    {
        Check(
            VirtualMemoryOperation.Export,
            Vmm.cuMemExportToShareableHandle(out var number, Native(handle), CUmemAllocationHandleType.PosixFileDescriptor, 0), 0);
        return FileDescriptors.TryMoveHigh(new SafeFileHandle(number, ownsHandle: true), out var descriptor, out var problem)
            ? descriptor
            : throw new VirtualMemoryException(VirtualMemoryOperation.Export, "fcntl(F_DUPFD_CLOEXEC)", DriverCode.OperatingSystem, Gpu, 0, problem.TrimEnd('.'));
    }

    public MemoryHandle Import(SafeFileHandle descriptor, long byteCount)
    {
        var isHeld = false;
        try
        {
            descriptor.DangerousAddRef(ref isHeld);
            Check(
                VirtualMemoryOperation.Import,
                Vmm.cuMemImportFromShareableHandle(out var handle, descriptor.DangerousGetHandle(), CUmemAllocationHandleType.PosixFileDescriptor),
                byteCount);
            var imported = new MemoryHandle(handle.Pointer);
            _rules.Held(imported, byteCount);
            return imported;
        }
        finally
        {
            if (isHeld)
            {
                descriptor.DangerousRelease();
            }
        }
    }

    /// <summary>Nothing to do: what was created is the caller's to release.</summary>
    public void Dispose()
    {
    }

    private static bool Has(CUdevice device, CUDeviceAttribute attribute) =>
        Driver.DeviceManagement.cuDeviceGetAttribute(out var value, attribute, device) == CUResult.Success && value != 0;

    private static CUdeviceptr At(nint address) => new((nuint)address);

    private static CUmemGenericAllocationHandle Native(MemoryHandle handle) => new(handle.Value);

    /// <summary>A negative size becomes one that no driver accepts.</summary>
    private static nuint Size(long byteCount) => unchecked((nuint)byteCount);

    private void Check(VirtualMemoryOperation operation, CUResult result, long byteCount, [CallerArgumentExpression(nameof(result))] string call = "")
    {
        if (result != CUResult.Success)
        {
            Throw(operation, result, byteCount, call);
        }
    }

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Throw(VirtualMemoryOperation operation, CUResult result, long byteCount, string call)
    {
        var start = call.LastIndexOf('.', Math.Max(0, call.IndexOf('(', StringComparison.Ordinal))) + 1;
        var end = call.IndexOf('(', StringComparison.Ordinal);
        var function = end < 0 ? call : call[start..end];
        throw new VirtualMemoryException(operation, function, (DriverCode)(int)result, Gpu, byteCount, CudaDriver.Describe(result));
    }
}
