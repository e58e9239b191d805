using Kvcached.Core.Ids;
using Kvcached.Host.Startup;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Startup;

public sealed class DeviceLockTests : IDisposable
{
    private static readonly GpuId Gpu = GpuId.Parse("GPU-0000");
    private static readonly GpuId HostMemory = GpuId.Parse("HOST-0");

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kvcached-lock-tests-");

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public void Acquire_Held_NamesTheHolder()
    {
        using var first = Acquire(Gpu, "a");
        AssertHeld(Gpu, "a");
    }

    [Fact]
    public void Acquire_GpuHeldInAnotherDomain_IsRefusedToo()
    {
        using var first = Acquire(Gpu, "a");
        AssertHeld(Gpu, "b");
    }

    [Fact]
    public void Acquire_HostMemoryOfAnotherDomain_IsAnotherDevice()
    {
        using var first = Acquire(HostMemory, "a");
        using var second = Acquire(HostMemory, "b");
        AssertHeld(HostMemory, "a");
    }

    [Fact]
    public void Acquire_AfterRelease_Succeeds()
    {
        Acquire(Gpu, "a").Dispose();
        Acquire(Gpu, "a").Dispose();
    }

    [Fact]
    public async Task Host_DeviceServedByAnotherProcess_ExitsAndNamesIt()
    {
        await using var launcher = new HostLauncher();
        var first = await launcher.StartReadyAsync("--domain", "locked");
        var second = launcher.Start("--domain", "locked", "--port", "0", "--management-port", "0", "--run-dir", launcher.TestDirectory + "/other");

        Assert.Equal((int)HostExitCode.DeviceLocked, await second.WaitForExitAsync());
        Assert.Contains($"HOST-0 is served by process {first.ProcessId} already", second.Errors, StringComparison.Ordinal);
        Assert.Single(second.Errors.Trim().Split('\n'));
    }

    [Fact]
    public async Task Host_HolderWasKilled_TheNextOneServes()
    {
        await using var launcher = new HostLauncher();
        var first = await launcher.StartReadyAsync();
        first.Kill();
        await first.WaitForExitAsync();
        Assert.Equal("HOST-0", (await launcher.StartReadyAsync()).Ready.Gpu);
    }

    private DeviceLock Acquire(GpuId gpu, string domain)
    {
        Assert.False(DeviceLock.Acquire(_directory.FullName, gpu, domain).IsFailed(out _, out var deviceLock));
        return deviceLock;
    }

    private void AssertHeld(GpuId gpu, string domain)
    {
        Assert.True(DeviceLock.Acquire(_directory.FullName, gpu, domain).IsFailed(out var failure, out _));
        Assert.Equal(HostExitCode.DeviceLocked, failure.ExitCode);
        Assert.Contains($"process {Environment.ProcessId}", failure.Message, StringComparison.Ordinal);
    }
}
