using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.Gpu.Devices;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Tests.Memory;

public sealed class VirtualMemoryFactoryTests
{
    private static readonly bool HasDriver =
        VirtualMemoryFactory.TryOpen(new VirtualMemoryRequest { Backend = BackendChoice.Cuda }, out _, out var problem)
        || problem.Reason != GpuUnavailableReason.DriverNotFound;

    [SkippableFact]
    public void TryOpen_CudaWithoutDriver_NamesEveryCandidateAndWhatToInstall()
    {
        Skip.If(HasDriver, "This machine has the driver.");
        Assert.False(VirtualMemoryFactory.TryOpen(new VirtualMemoryRequest { Backend = BackendChoice.Cuda }, out var memory, out var problem));
        Assert.Null(memory);
        Assert.Equal(GpuUnavailableReason.DriverNotFound, problem.Reason);
        Assert.Equal<string>(["libcuda.so.1", "libcuda.so", "nvcuda"], problem.Candidates.ToArray());
        Assert.All(problem.Candidates, c => Assert.Contains(c, problem.Text, StringComparison.Ordinal));
        Assert.Contains("Install the NVIDIA driver", problem.Text, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void TryOpen_CudaByIndexWithoutDriver_NamesTheManagementLibrary()
    {
        Skip.If(HasDriver, "This machine has the driver.");
        Assert.False(VirtualMemoryFactory.TryOpen(new VirtualMemoryRequest { Backend = BackendChoice.Cuda, Index = 0 }, out _, out var problem));
        Assert.Contains("libnvidia-ml.so.1", problem.Text, StringComparison.Ordinal);
        Assert.False(NvmlDevices.TryList(out var devices, out problem));
        Assert.Empty(devices);
        Assert.Equal(GpuUnavailableReason.DriverNotFound, problem.Reason);
    }

    [SkippableFact]
    public void TryOpen_AutoWithoutDriver_LendsMainMemory()
    {
        Skip.If(HasDriver, "This machine has the driver.");
        Assert.True(VirtualMemoryFactory.TryOpen(new VirtualMemoryRequest(), out var memory, out _));
        using (memory)
        {
            Assert.Equal("host", memory.Backend);
            Assert.True(memory.Gpu.IsHostMemory);
            Assert.Equal(2 * ByteSize.MiB, memory.GranularityBytes);
        }
    }

    [Fact]
    public void TryOpen_AutoWithAGpuThatIsNotThere_DoesNotFallBackToMainMemory()
    {
        var request = new VirtualMemoryRequest { Gpu = GpuId.Parse("GPU-00000000-0000-0000-0000-000000000000") };
        Assert.False(VirtualMemoryFactory.TryOpen(request, out _, out var problem));
        Assert.Contains(problem.Reason, (GpuUnavailableReason[])[GpuUnavailableReason.DriverNotFound, GpuUnavailableReason.NoDevice, GpuUnavailableReason.DeviceNotFound]);
    }

    [Fact]
    public void TryOpen_HostById_HasThatId()
    {
        var request = new VirtualMemoryRequest { Gpu = GpuId.Parse("HOST-3"), Host = new HostVirtualMemoryOptions { CapacityBytes = ByteSize.GiB } };
        Assert.True(VirtualMemoryFactory.TryOpen(request, out var memory, out _));
        using (memory)
        {
            Assert.Equal("HOST-3", memory.Gpu.Value);
            Assert.Equal(ByteSize.GiB, memory.TotalBytes);
        }
    }

    [Theory]
    [InlineData(BackendChoice.Host, "GPU-1", 4096L, 1L << 20)]
    [InlineData(BackendChoice.Host, "HOST-0", 3000L, 1L << 20)]
    [InlineData(BackendChoice.Host, "HOST-0", 512L, 1L << 20)]
    [InlineData(BackendChoice.Host, "HOST-0", 1L << 20, 4096L)]
    [InlineData((BackendChoice)9, "HOST-0", 4096L, 1L << 20)]
    public void TryOpen_SenselessRequest_IsABadRequest(BackendChoice backend, string gpu, long granularityBytes, long capacityBytes)
    {
        var request = new VirtualMemoryRequest
        {
            Backend = backend,
            Gpu = GpuId.Parse(gpu),
            Host = new HostVirtualMemoryOptions { GranularityBytes = granularityBytes, CapacityBytes = capacityBytes },
        };
        Assert.False(VirtualMemoryFactory.TryOpen(request, out _, out var problem));
        Assert.Equal(GpuUnavailableReason.BadRequest, problem.Reason);
    }
}
