using System.Net;
using System.Net.Sockets;
using Kvcached.Core.Contracts;
using Kvcached.Gpu.Devices;
using Kvcached.Host.Startup;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Startup;

/// <summary>How a host starts and ends, seen from outside.</summary>
public sealed class HostProcessTests : IAsyncLifetime
{
    private readonly HostLauncher _launcher = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public Task DisposeAsync() => _launcher.DisposeAsync().AsTask();

    [Fact]
    public async Task Terminate_AReadyHost_ExitsWithZeroAndLeavesNothing()
    {
        var host = await _launcher.StartReadyAsync("--domain", "d1", "--gpu", "none:3");
        Assert.Equal("ready", host.Ready.Event);
        Assert.Equal("HOST-3", host.Ready.Gpu);
        Assert.Equal("d1", host.Ready.Domain);
        Assert.Equal("host", host.Ready.Backend);
        Assert.Equal(64L << 20, host.Ready.CapacityBytes);
        Assert.Equal(host.ProcessId, host.Ready.Pid);
        Assert.NotEqual(0, host.Ready.Port);

        host.Terminate();
        Assert.Equal(0, await host.WaitForExitAsync());
        Assert.Equal(string.Empty, await host.ReadRestOfOutputAsync());

        // What it held is free: the lock, the ports, and, with the process, every descriptor of its memory.
        Assert.False(DeviceLock.Acquire(
            Path.Combine(_launcher.TestDirectory, "kvcached"), Kvcached.Core.Ids.GpuId.Parse("HOST-3"), "d1").IsFailed(out _, out var deviceLock));
        deviceLock.Dispose();
        Assert.False(Directory.Exists($"/proc/{host.ProcessId}"));
        using var listener = new TcpListener(IPAddress.Loopback, host.Ready.Port);
        listener.Start();
    }

    [Fact]
    public async Task Terminate_BeforeItIsUp_ExitsWithZero()
    {
        using var listener = ListenOnFreePort(out var silentPort);
        var host = _launcher.Start("--port", "0", "--management-port", "0", "--seed", $"127.0.0.1:{silentPort}", "--join-timeout", "0");
        using (await listener.AcceptTcpClientAsync().WaitAsync(HostLauncher.Patience))
        {
            // Somebody was called, so that the actors run and the process waits to be taken in.
            host.Terminate();
            Assert.Equal(0, await host.WaitForExitAsync());
        }
    }

    [Fact]
    public async Task Start_NobodyTakesItIn_ExitsWithNotJoined()
    {
        using var listener = ListenOnFreePort(out var silentPort);
        var host = _launcher.Start("--port", "0", "--management-port", "0", "--seed", $"127.0.0.1:{silentPort}", "--join-timeout", "1s");
        Assert.Equal((int)HostExitCode.NotJoined, await host.WaitForExitAsync());
        Assert.Contains($"join-timeout: the cluster was not joined within 1s; see that a host of domain 'default' listens at 127.0.0.1:{silentPort}.", host.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--port", "--management-port", "port: 127.0.0.1:")]
    [InlineData("--management-port", "--port", "management-port: port ")]
    public async Task Start_PortIsTaken_ExitsWithPortInUseAndNamesIt(string taken, string other, string expected)
    {
        using var listener = ListenOnFreePort(out var port);
        var host = _launcher.Start(taken, $"{port}", other, "0");
        Assert.Equal((int)HostExitCode.PortInUse, await host.WaitForExitAsync());
        Assert.Contains($"kvcached-host: {expected}{port} is in use by another process", host.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_AnotherHostHasThePort_ExitsWithPortInUse()
    {
        // A host's own listener is another matter than anybody's: with its address reused, two of them would share the port.
        var first = await _launcher.StartReadyAsync("--gpu", "none:0");
        var second = _launcher.Start("--gpu", "none:1", "--port", $"{first.Ready.Port}", "--management-port", "0");
        Assert.Equal((int)HostExitCode.PortInUse, await second.WaitForExitAsync());
        Assert.Contains($"kvcached-host: port: 127.0.0.1:{first.Ready.Port} is in use by another process", second.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_AkkaManagementPortIsTaken_ExitsWithPortInUseAndNamesIt()
    {
        using var listener = ListenOnFreePort(out var port);
        var host = _launcher.Start("--akka-management-port", $"{port}", "--port", "0", "--management-port", "0");
        Assert.Equal((int)HostExitCode.PortInUse, await host.WaitForExitAsync());
        Assert.Contains($"kvcached-host: akka-management-port: port {port} can't be had", host.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_AddressOfNoInterface_SaysSo()
    {
        var host = _launcher.Start("--bind", "192.0.2.1", "--allow-insecure-remoting", "--port", "0", "--management-port", "0");
        Assert.Equal((int)HostExitCode.PortInUse, await host.WaitForExitAsync());
        Assert.Contains("bind: 192.0.2.1 is no address of this machine", host.Errors, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Start_CudaWithoutAGpu_ExitsWithNoGpuAndSaysWhatToDo()
    {
        Skip.If(NvmlDevices.TryList(out var devices, out _) && !devices.IsEmpty, "There is a GPU here.");
        var host = _launcher.Start("--backend", "cuda");
        Assert.Equal((int)HostExitCode.NoGpu, await host.WaitForExitAsync());
        Assert.StartsWith("kvcached-host: no GPU for --backend cuda: ", host.Errors, StringComparison.Ordinal);
        Assert.Contains("lend main memory with --gpu none", host.Errors, StringComparison.Ordinal);
        Assert.Single(host.Errors.Trim().Split('\n'));
    }

    [Fact]
    public async Task Start_GpuThatIsNotThere_ExitsWithNoGpu()
    {
        var host = _launcher.Start("--gpu", "GPU-00000000-0000-0000-0000-000000000000");
        Assert.Equal((int)HostExitCode.NoGpu, await host.WaitForExitAsync());
    }

    [Fact]
    public async Task Start_BadSetting_ExitsWithUsageInOneLine()
    {
        var host = _launcher.Start("--port", "99999");
        Assert.Equal((int)HostExitCode.Usage, await host.WaitForExitAsync());
        Assert.Equal("kvcached-host: port: '99999' (command line) is not allowed; allowed: 0 to 65535.", host.Errors.Trim());
        Assert.Equal(string.Empty, await host.ReadRestOfOutputAsync());
    }

    [Fact]
    public async Task Start_RunDirectoryOpenToOthers_ExitsWithUnsafeDirectory()
    {
        var open = Directory.CreateDirectory(Path.Combine(_launcher.TestDirectory, "open"));
        File.SetUnixFileMode(open.FullName, File.GetUnixFileMode(open.FullName) | UnixFileMode.OtherRead);
        var host = _launcher.Start("--run-dir", open.FullName);
        Assert.Equal((int)HostExitCode.UnsafeDirectory, await host.WaitForExitAsync());
    }

    [Theory]
    [InlineData("--help", "--management-port PORT")]
    [InlineData("--version", "0.1.0")]
    public async Task Start_AskedForText_PrintsItAndEnds(string argument, string expected)
    {
        var host = _launcher.Start(argument);
        Assert.Contains(expected, await host.ReadRestOfOutputAsync(), StringComparison.Ordinal);
        Assert.Equal(0, await host.WaitForExitAsync());
    }

    [Fact]
    public async Task Start_WithAConfigFile_TakesItsSettings()
    {
        var path = Path.Combine(_launcher.TestDirectory, "my.conf");
        await File.WriteAllTextAsync(path, "include \"single-node\"\nkvcached.domain = from-file\n");
        var host = await _launcher.StartReadyAsync("--config", path);
        Assert.Equal("from-file", host.Ready.Domain);
        Assert.Equal("from-file", (await host.GetUntilAsync("/pools", ManagementJsonContext.Default.PoolsView, view => view.Domain is not null)).Domain);
    }

    [Fact]
    public async Task Start_AkkaRefusesItsConfiguration_ExitsWithFailedAndSaysWhy()
    {
        var path = Path.Combine(_launcher.TestDirectory, "bad.conf");
        await File.WriteAllTextAsync(path, "akka.cluster.downing-provider-class = \"No.Such.Type, Nowhere\"\n");
        var host = _launcher.Start("--config", path, "--port", "0", "--management-port", "0");
        Assert.Equal((int)HostExitCode.Failed, await host.WaitForExitAsync());
        Assert.Contains("kvcached-host: can't start: ", host.Errors, StringComparison.Ordinal);
    }

    private static TcpListener ListenOnFreePort(out int port)
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        port = ((IPEndPoint)listener.LocalEndpoint).Port;
        return listener;
    }
}
