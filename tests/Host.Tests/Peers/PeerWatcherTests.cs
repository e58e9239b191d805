using Kvcached.Core.Contracts;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Peers;

/// <summary>Hosts of one machine that hear of each other's end from the kernel alone: missing heartbeats count only after ten minutes here.</summary>
public sealed class PeerWatcherTests : IAsyncLifetime
{
    private readonly HostLauncher _launcher = new();
    private RunningHost _first = null!;
    private RunningHost _second = null!;

    public async Task InitializeAsync()
    {
        var config = Path.Combine(_launcher.TestDirectory, "patient.conf");
        await File.WriteAllTextAsync(config, "akka.cluster.failure-detector.acceptable-heartbeat-pause = 10 m");
        _first = await _launcher.StartReadyAsync("--hosts", "2", "--config", config);
        _second = await _launcher.StartReadyAsync("--hosts", "2", "--config", config, "--gpu", "none:1", "--seed", $"127.0.0.1:{_first.Ready.Port}");
        await _second.GetUntilAsync("/ready", ManagementJsonContext.Default.HealthView, health => health.Status == "ready");
    }

    public Task DisposeAsync() => _launcher.DisposeAsync().AsTask();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task KilledHost_LeavesTheClusterAtOnce_AndTheOtherCoordinates(int killedIndex)
    {
        var (killed, survivor) = killedIndex == 0 ? (_first, _second) : (_second, _first);
        killed.Kill();
        await killed.WaitForExitAsync();

        var members = await survivor.GetUntilAsync("/cluster/members", ManagementJsonContext.Default.ClusterMembersView, view => view is { Members.Count: 1, Unreachable.Count: 0 });
        Assert.Equal(members.SelfNode, members.Oldest);
        Assert.Equal("default", (await survivor.GetUntilAsync("/pools", ManagementJsonContext.Default.PoolsView, view => view.Domain is not null)).Domain);

        // The next one that lends that memory is taken in, and watched in turn.
        var next = await _launcher.StartReadyAsync("--hosts", "2", "--gpu", $"none:{killedIndex}", "--seed", $"127.0.0.1:{survivor.Ready.Port}");
        await next.GetUntilAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, gpus => gpus.Length == 2);
        next.Kill();
        await next.WaitForExitAsync();
        await survivor.GetUntilAsync("/cluster/members", ManagementJsonContext.Default.ClusterMembersView, view => view is { Members.Count: 1, Unreachable.Count: 0 });
        Assert.Empty(Directory.GetFiles(Path.Combine(_launcher.TestDirectory, "kvcached", "peers@default"), $"*_{killed.Ready.Port}"));
    }
}
