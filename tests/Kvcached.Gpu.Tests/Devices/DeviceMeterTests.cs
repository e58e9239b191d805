using Kvcached.Core.Units;
using Kvcached.Gpu.Devices;

namespace Kvcached.Gpu.Tests.Devices;

public sealed class DeviceMeterTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void MainMemory_OfThisMachine_IsRead()
    {
        Assert.True(new MainMemoryMeter().TryRead(out var use, out var problem), problem);
        Assert.InRange(use.UsedBytes, 1, use.TotalBytes);
    }

    [Fact]
    public void MainMemory_WhatIsNotAvailable_IsUsed()
    {
        File.WriteAllText(_path, "MemTotal:        1000 kB\nMemFree:  1 kB\nMemAvailable:     300 kB\n");
        Assert.True(new MainMemoryMeter(_path).TryRead(out var use, out _));
        Assert.Equal(new DeviceUse(1000 * ByteSize.KiB, 700 * ByteSize.KiB), use);
    }

    [Theory]
    [InlineData("")]
    [InlineData("MemTotal: 1000 kB\n")]
    [InlineData("MemTotal: 1000 kB\nMemAvailable: 1001 kB\n")]
    [InlineData("MemTotal: 1000\nMemAvailable: 10\n")]
    [InlineData("MemTotal: -1000 kB\nMemAvailable: 10 kB\n")]
    [InlineData("MemTotal: 9223372036854775807 kB\nMemAvailable: 10 kB\n")]
    public void MainMemory_OtherText_IsAProblemWithTheFilesName(string text)
    {
        File.WriteAllText(_path, text);
        Assert.False(new MainMemoryMeter(_path).TryRead(out _, out var problem));
        Assert.Contains(_path, problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("3MiB", true)]
    [InlineData("0", true)]
    [InlineData("65MiB", false)]
    [InlineData("-1", false)]
    [InlineData("many", false)]
    public void Pretended_SaysStrangersBesideOwn(string text, bool isAllowed)
    {
        File.WriteAllText(_path, text + "\n");
        Assert.Equal(isAllowed, new PretendedDeviceMeter(_path, 64 * ByteSize.MiB, () => 5).TryRead(out var use, out var problem));
        Assert.Equal(isAllowed, problem.Length == 0);
        Assert.True(!isAllowed || use == new DeviceUse(64 * ByteSize.MiB, (ByteSize.TryParse(text, out var bytes) ? bytes : -1) + 5));
    }

    [Fact]
    public void Meters_OfAFileThatIsNotThere_SayTheProblem()
    {
        Assert.False(new MainMemoryMeter("/nowhere").TryRead(out _, out var problem));
        Assert.Contains("/nowhere", problem, StringComparison.Ordinal);
        Assert.False(new PretendedDeviceMeter("/nowhere", 1, () => 0).TryRead(out _, out problem));
        Assert.Contains("/nowhere", problem, StringComparison.Ordinal);
    }
}
