using System.Globalization;
using Kvcached.Client.Tests.Support;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;

namespace Kvcached.Client.Tests.Arenas;

public sealed class ForkExclusionTests
{
    [Fact]
    public void Exclude_AMapping_IsNotCopiedIntoChildren()
    {
        using var memory = new HostVirtualMemory(new HostVirtualMemoryOptions { GranularityBytes = TestPool.PageBytes });
        Assert.True(memory.TryCreate(TestPool.PageBytes, out var handle));
        var reservation = memory.Reserve(TestPool.PageBytes);
        memory.Map(reservation.BaseAddress, TestPool.PageBytes, 0, handle);
        Assert.DoesNotContain("dc", FlagsOf(reservation.BaseAddress));
        ForkExclusion.Exclude(memory, reservation.BaseAddress, TestPool.PageBytes);
        memory.SetAccess(reservation.BaseAddress, TestPool.PageBytes, MemoryAccess.ReadWrite);
        Assert.Contains("dc", FlagsOf(reservation.BaseAddress));
    }

    private static string[] FlagsOf(nint address)
    {
        var isThere = false;
        foreach (var line in File.ReadLines("/proc/self/smaps"))
        {
            if (line.Contains('-', StringComparison.Ordinal) && long.TryParse(line.Split('-')[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var start))
            {
                isThere = start == address;
            }
            else if (isThere && line.StartsWith("VmFlags:", StringComparison.Ordinal))
            {
                return line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            }
        }

        throw new Xunit.Sdk.XunitException($"Nothing is mapped at {address:x}.");
    }
}
