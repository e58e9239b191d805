using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Tests.Memory;

public sealed class VirtualMemoryExceptionTests
{
    [Fact]
    public void Message_KnownCode_SaysCallGpuCodeBytesAndWhatToDo()
    {
        var error = new VirtualMemoryException(
            VirtualMemoryOperation.Map, "cuMemMap", DriverCode.OutOfMemory, GpuId.Parse("GPU-1"), 24 * ByteSize.MiB, "no room");
        Assert.Equal(
            "cuMemMap failed on GPU-1: OutOfMemory (2); 24 MiB. no room. Lower the capacity or free memory of other processes.", error.Message);
        Assert.Equal(
            (VirtualMemoryOperation.Map, "cuMemMap", DriverCode.OutOfMemory, "GPU-1", 24 * ByteSize.MiB),
            (error.Operation, error.Call, error.Code, error.Gpu.Value, error.Bytes));
    }

    [Fact]
    public void Message_UnknownCode_KeepsItsNumber()
    {
        var error = new VirtualMemoryException(VirtualMemoryOperation.Map, "cuMemMap", (DriverCode)719, GpuId.Parse("GPU-1"), 0);
        Assert.Contains("unknown code (719)", error.Message, StringComparison.Ordinal);
    }
}
