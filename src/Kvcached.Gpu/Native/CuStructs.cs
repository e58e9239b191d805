using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Kvcached.Gpu.Native;

internal readonly record struct CUdevice(int Pointer);

internal readonly record struct CUcontext(nint Pointer);

internal readonly record struct CUmodule(nint Pointer);

internal readonly record struct CUfunction(nint Pointer);

internal readonly record struct CUstream(nint Pointer);

internal readonly record struct CUevent(nint Pointer);

internal readonly record struct CUgraph(nint Pointer);

internal readonly record struct CUdeviceptr(nuint Pointer);

/// <summary>An opaque number, not a pointer: <c>unsigned long long</c> in cuda.h.</summary>
internal readonly record struct CUmemGenericAllocationHandle(ulong Pointer);

/// <summary>Sixteen bytes in the order in which a UUID is printed.</summary>
[InlineArray(16)]
internal struct CUuuid
{
    private byte _first;
}

[StructLayout(LayoutKind.Sequential)]
internal struct CUmemLocation
{
    public CUmemLocationType type;
    public int id;
}

[StructLayout(LayoutKind.Sequential)]
internal struct CUmemAllocationPropFlags
{
    public byte compressionType;
    public byte gpuDirectRDMACapable;
    public ushort usage;
    public uint reserved;
}

[StructLayout(LayoutKind.Sequential)]
internal struct CUmemAllocationProp
{
    public CUmemAllocationType type;
    public CUmemAllocationHandleType requestedHandleTypes;
    public CUmemLocation location;
    public nint win32HandleMetaData;
    public CUmemAllocationPropFlags allocFlags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct CUmemAccessDesc
{
    public CUmemLocation location;
    public CUmemAccess_flags flags;
}
