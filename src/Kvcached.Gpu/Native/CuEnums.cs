namespace Kvcached.Gpu.Native;

internal enum CUInitializationFlags : uint
{
    None = 0,
}

internal enum CUmemAllocationType
{
    Invalid = 0,
    Pinned = 1,
}

internal enum CUmemLocationType
{
    Invalid = 0,
    Device = 1,
    Host = 2,
    HostNUMA = 3,
    HostNUMACurrent = 4,
}

[Flags]
internal enum CUmemAllocationHandleType
{
    None = 0,
    PosixFileDescriptor = 0x1,
    Win32 = 0x2,
    Win32KMT = 0x4,
    Fabric = 0x8,
}

[Flags]
internal enum CUmemAccess_flags
{
    ProtNone = 0x0,
    ProtRead = 0x1,
    ProtReadWrite = 0x3,
}

internal enum CUmemAllocationGranularity_flags
{
    Minimum = 0,
    Recommended = 1,
}

internal enum CUDeviceAttribute
{
    VirtualMemoryManagementSupported = 102,
    HandleTypePosixFileDescriptorSupported = 103,
    GpuDirectRdmaWithCudaVmmSupported = 110,
}

[Flags]
internal enum CUStreamFlags : uint
{
    Default = 0,
    NonBlocking = 1,
}

[Flags]
internal enum CUEventFlags : uint
{
    Default = 0,
    BlockingSync = 1,
    DisableTiming = 2,
}

internal enum CUStreamCaptureStatus
{
    None = 0,
    Active = 1,
    Invalidated = 2,
}

internal enum CUStreamCaptureMode
{
    Global = 0,
    ThreadLocal = 1,
    Relaxed = 2,
}
