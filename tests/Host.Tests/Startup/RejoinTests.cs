using Kvcached.Core.Contracts;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Startup;

/// <summary>A host that the cluster has removed, since it was stopped for too long, and that goes on.</summary>
public sealed class RejoinTests : IAsyncLifetime
{
    private readonly HostLauncher _launcher = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public Task DisposeAsync() => _launcher.DisposeAsync().AsTask();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task RemovedHost_GoesOn_JoinsAgainInTheSameProcess(int stoppedIndex)
    {
        var first = await _launcher.StartReadyAsync("--hosts", "2");
        var second = await _launcher.StartReadyAsync("--hosts", "2", "--gpu", "none:1", "--seed", $"127.0.0.1:{first.Ready.Port}");
        var (stopped, other) = stoppedIndex == 0 ? (first, second) : (second, first);
        await IsWholeAsync(first);
        await IsWholeAsync(second);

        // An engine's connection isn't the actors', and lasts.
        var session = SessionId.New();
        using var engine = await RawEngine.GreetAsync(stopped.Ready.Socket, EngineRole.Scheduler);
        engine.Say(new EngineProtocol.OpenSession(session, "test", "default"));
        await engine.HearAsync<EngineProtocol.SessionOpened>();

        stopped.Pause();
        await other.GetUntilAsync("/cluster/members", ManagementJsonContext.Default.ClusterMembersView, view => view is { Members.Count: 1, Unreachable.Count: 0 });
        stopped.Resume();

        await IsWholeAsync(other);
        await IsWholeAsync(stopped);
        var members = await stopped.GetAsync("/cluster/members", ManagementJsonContext.Default.ClusterMembersView);
        Assert.Equal($"akka.tcp://kvcached@127.0.0.1:{stopped.Ready.Port}", members.SelfNode);
        Assert.Equal($"akka.tcp://kvcached@127.0.0.1:{other.Ready.Port}", members.Oldest);

        engine.Say(new EngineProtocol.OpenSession(session, "test", "default"));
        await engine.HearAsync<EngineProtocol.SessionOpened>();

        stopped.Terminate();
        Assert.Equal(0, await stopped.WaitForExitAsync());
        Assert.Equal(string.Empty, await stopped.ReadRestOfOutputAsync());
        Assert.Contains("the cluster removed this host", stopped.Errors, StringComparison.Ordinal);
    }

    // Both are up, and both ranks have told their coordinator what they hold.
    private static async Task IsWholeAsync(RunningHost host)
    {
        await host.GetUntilAsync("/ready", ManagementJsonContext.Default.HealthView, health => health.Status == "ready");
        await host.GetUntilAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, gpus => gpus.Length == 2);
    }
}
