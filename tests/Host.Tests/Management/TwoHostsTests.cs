using System.Net;
using Kvcached.Core.Contracts;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Management;

/// <summary>Two hosts of one domain, each a process of its own.</summary>
public sealed class TwoHostsTests : IAsyncLifetime
{
    private readonly HostLauncher _launcher = new();
    private RunningHost _first = null!;
    private RunningHost _second = null!;

    public async Task InitializeAsync()
    {
        _first = await _launcher.StartReadyAsync("--hosts", "2");
        var notReady = await _first.GetUntilAsync("/ready", ManagementJsonContext.Default.HealthView, health => health.Reasons.Count == 1);
        Assert.Equal("1 of 2 hosts of domain 'default' are up and can be reached", notReady.Reasons[0]);
        _second = await _launcher.StartReadyAsync("--hosts", "2", "--gpu", "none:1", "--seed", $"127.0.0.1:{_first.Ready.Port}");
    }

    public Task DisposeAsync() => _launcher.DisposeAsync().AsTask();

    [Fact]
    public async Task TwoHosts_FormOneDomain_WhichEachOfThemDescribes()
    {
        foreach (var host in new[] { _first, _second })
        {
            var members = await host.GetUntilAsync(
                "/cluster/members", ManagementJsonContext.Default.ClusterMembersView, view => view.Members.Count(member => member.Status == "Up") == 2);
            Assert.Equal($"akka.tcp://kvcached@127.0.0.1:{host.Ready.Port}", members.SelfNode);
            Assert.Equal($"akka.tcp://kvcached@127.0.0.1:{_first.Ready.Port}", members.Oldest);

            await host.GetUntilAsync("/ready", ManagementJsonContext.Default.HealthView, health => health.Status == "ready");
            var gpus = await host.GetUntilAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, view => view.Length == 2);
            Assert.Equal(["HOST-0", "HOST-1"], gpus.Select(gpu => gpu.Gpu).Order(StringComparer.Ordinal));
            Assert.All(gpus, gpu => Assert.Equal(gpu.Gpu == host.Ready.Gpu, gpu.RankMappedBytes is not null));
        }
    }

    [Fact]
    public async Task TwoHosts_TheOldestLeaves_TheOtherGoesOnAlone()
    {
        _first.Terminate();
        Assert.Equal(0, await _first.WaitForExitAsync());
        await AssertSurvivesAloneAsync(_second);
    }

    [Fact]
    public async Task TwoHosts_TheOldestHangsAndIsKilled_TheOtherGoesOnAlone()
    {
        _first.Pause();

        // The member is listed a moment before it is known who misses it.
        var seen = await _second.GetUntilAsync(
            "/cluster/members", ManagementJsonContext.Default.ClusterMembersView, view => view.Unreachable.Count == 1 && view.Unreachable[0].ObservedBy.Any());
        Assert.Equal([$"akka.tcp://kvcached@127.0.0.1:{_second.Ready.Port}"], seen.Unreachable[0].ObservedBy);
        _first.Kill();
        await _first.WaitForExitAsync();
        await AssertSurvivesAloneAsync(_second);
    }

    [Fact]
    public async Task TwoHosts_TheYoungerIsKilled_TheOtherGoesOnAlone()
    {
        _second.Kill();
        await _second.WaitForExitAsync();
        await AssertSurvivesAloneAsync(_first);
    }

    // It is the only member, it coordinates, and it says that a host is missing.
    private static async Task AssertSurvivesAloneAsync(RunningHost survivor)
    {
        var members = await survivor.GetUntilAsync(
            "/cluster/members", ManagementJsonContext.Default.ClusterMembersView, view => view is { Members.Count: 1, Unreachable.Count: 0 });
        Assert.Equal(members.SelfNode, members.Oldest);
        Assert.Equal("default", (await survivor.GetUntilAsync("/pools", ManagementJsonContext.Default.PoolsView, view => view.Domain is not null)).Domain);
        var ready = await survivor.GetAsync("/ready", ManagementJsonContext.Default.HealthView, HttpStatusCode.ServiceUnavailable);
        Assert.Contains("1 of 2 hosts of domain 'default' are up and can be reached", ready.Reasons);
    }
}
