using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Cuda;
using Kvcached.Gpu.Devices;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;
using Driver = Kvcached.Gpu.Native.DriverAPINativeMethods;

namespace Kvcached.Gpu.DeviceCheck.Rigs;

/// <summary>A real GPU. The backend needs no context; looking at its memory does, so the first look makes one.</summary>
public sealed class CudaRig : ICheckRig, IMemoryProbe
{
    private readonly Lock _gate = new();
    private readonly CUdevice _device;
    private CUcontext _context;

    private CudaRig(CudaVirtualMemory memory)
    {
        Gpu = memory.Gpu;
        PageBytes = memory.GranularityBytes;
        DeviceName = memory.DeviceName;
        _device = new CUdevice(memory.DeviceOrdinal);
    }

    public GpuId Gpu { get; }

    public long PageBytes { get; }

    public string DeviceName { get; }

    internal CUdevice Device => _device;

    public IMemoryProbe Probe => this;

    public IReadOnlyList<string> ChildArguments => ["cuda", Gpu.Value];

    /// <summary>True once some part of this process made the device's primary context.</summary>
    public bool HasContext
    {
        get
        {
            Require(Driver.ContextManagement.cuDevicePrimaryCtxGetState(_device, out _, out var active));
            return active != 0;
        }
    }

    public static bool TryCreate(GpuId? gpu, [NotNullWhen(true)] out CudaRig? rig, [NotNullWhen(false)] out GpuUnavailable? problem)
    {
        rig = null;
        if (!CudaVirtualMemory.TryOpen(gpu, ordinal: null, out var memory, out problem))
        {
            return false;
        }

        using (memory)
        {
            rig = new CudaRig(memory);
        }

        return true;
    }

    public FaultInjectingVirtualMemory Open() =>
        CudaVirtualMemory.TryOpen(Gpu, ordinal: null, out var memory, out var problem)
            ? new FaultInjectingVirtualMemory(memory, TimeProvider.System)
            : throw new InvalidOperationException(problem.Text);

    public MemoryAccess AccessOf(nint address)
    {
        var location = new CUmemLocation { type = CUmemLocationType.Device, id = _device.Pointer };
        return Driver.MemoryManagement.cuMemGetAccess(out var flags, location, new CUdeviceptr((nuint)address)) == CUResult.Success
            ? (MemoryAccess)flags
            : MemoryAccess.None;
    }

    public void Write(nint address, ReadOnlySpan<byte> bytes)
    {
        Enter();
        var copy = Marshal.AllocHGlobal(bytes.Length);
        try
        {
            bytes.CopyTo(HostSpan.At(copy, bytes.Length));
            Require(Driver.SynchronousMemcpy_v2.cuMemcpyHtoD_v2(new CUdeviceptr((nuint)address), copy, (nuint)bytes.Length));
        }
        finally
        {
            Marshal.FreeHGlobal(copy);
        }
    }

    public byte[] Read(nint address, int byteCount)
    {
        Enter();
        var copy = Marshal.AllocHGlobal(byteCount);
        try
        {
            Require(Driver.SynchronousMemcpy_v2.cuMemcpyDtoH_v2(copy, new CUdeviceptr((nuint)address), (nuint)byteCount));
            return HostSpan.At(copy, byteCount).ToArray();
        }
        finally
        {
            Marshal.FreeHGlobal(copy);
        }
    }

    private void Enter()
    {
        lock (_gate)
        {
            if (_context == default)
            {
                Require(Driver.ContextManagement.cuDevicePrimaryCtxRetain(out _context, _device));
            }
        }

        Require(Driver.ContextManagement.cuCtxSetCurrent(_context));
    }

    private static void Require(CUResult result)
    {
        if (result != CUResult.Success)
        {
            throw new InvalidOperationException($"The probe's driver call failed: {CudaDriver.Describe(result)}.");
        }
    }
}
