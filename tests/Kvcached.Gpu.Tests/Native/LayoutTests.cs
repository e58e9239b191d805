using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvcached.Gpu.Cuda;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;

namespace Kvcached.Gpu.Tests.Native;

/// <summary>Sizes, offsets and values of cuda.h and nvml.h, which a binding must not get wrong.</summary>
public sealed class LayoutTests
{
    [Fact]
    public void Structs_SizeOf_IsThatOfTheHeaders()
    {
        Assert.Equal(8, Unsafe.SizeOf<CUmemLocation>());
        Assert.Equal(8, Unsafe.SizeOf<CUmemAllocationPropFlags>());
        Assert.Equal(32, Unsafe.SizeOf<CUmemAllocationProp>());
        Assert.Equal(12, Unsafe.SizeOf<CUmemAccessDesc>());
        Assert.Equal(16, Unsafe.SizeOf<CUuuid>());
        Assert.Equal(8, Unsafe.SizeOf<CUdeviceptr>());
        Assert.Equal(8, Unsafe.SizeOf<CUmemGenericAllocationHandle>());
        Assert.Equal(4, Unsafe.SizeOf<CUdevice>());
        Assert.Equal(24, Unsafe.SizeOf<NvmlMemory>());
        Assert.Equal(16, Unsafe.SizeOf<ResourceLimit>());
    }

    [Fact]
    public void AllocationProp_Fields_LieWhereTheHeaderPutsThem()
    {
        var prop = new CUmemAllocationProp
        {
            type = CUmemAllocationType.Pinned,
            requestedHandleTypes = CUmemAllocationHandleType.PosixFileDescriptor,
            location = new CUmemLocation { type = CUmemLocationType.Device, id = 0x55 },
            win32HandleMetaData = 0x66,
            allocFlags = new CUmemAllocationPropFlags { compressionType = 0x77, gpuDirectRDMACapable = 0x78, usage = 0x797A },
        };
        var bytes = MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref prop, 1));
        Assert.Equal([1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0x55, 0, 0, 0, 0x66, 0, 0, 0, 0, 0, 0, 0, 0x77, 0x78, 0x7A, 0x79, 0, 0, 0, 0], bytes.ToArray());
    }

    [Fact]
    public void Enums_Values_AreThoseOfTheHeader()
    {
        Assert.Equal(0, (int)CUmemAccess_flags.ProtNone);
        Assert.Equal(1, (int)CUmemAccess_flags.ProtRead);
        Assert.Equal(3, (int)CUmemAccess_flags.ProtReadWrite);
        Assert.Equal(8, (int)CUmemAllocationHandleType.Fabric);
        Assert.Equal(1, (int)CUmemAllocationHandleType.PosixFileDescriptor);
    }

    [Fact]
    public void DriverCode_EveryCodeOfTheDriver_HasTheSameNumberAndName()
    {
        foreach (var result in Enum.GetValues<CUResult>())
        {
            var name = result.ToString().Replace("Error", string.Empty, StringComparison.Ordinal);
            Assert.Equal(name, ((DriverCode)(int)result).ToString());
        }
    }

    [Fact]
    public void Access_Values_AreThoseOfTheDriver()
    {
        Assert.Equal((int)CUmemAccess_flags.ProtNone, (int)MemoryAccess.None);
        Assert.Equal((int)CUmemAccess_flags.ProtRead, (int)MemoryAccess.Read);
        Assert.Equal((int)CUmemAccess_flags.ProtReadWrite, (int)MemoryAccess.ReadWrite);
    }

    [Fact]
    public void Uuid_Format_IsWhatTheManagementLibraryPrints()
    {
        var uuid = default(CUuuid);
        for (var i = 0; i < 16; i++)
        {
            uuid[i] = (byte)(0x10 + i);
        }

        Assert.Equal("GPU-10111213-1415-1617-1819-1a1b1c1d1e1f", CudaDriver.Format(uuid).Value);
    }
}
