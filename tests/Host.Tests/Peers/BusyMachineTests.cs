using System.Diagnostics;
using Kvcached.Core.Contracts;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Peers;

/// <summary>Load must never look like death: a host that is removed for being slow takes its pools' grants with it.</summary>
public sealed class BusyMachineTests : IAsyncLifetime
{
    private const int LoopCount = 12;
    private static readonly TimeSpan BusyFor = TimeSpan.FromSeconds(20);

    private readonly HostLauncher _launcher = new();
    private readonly List<Process> _loops = [];
    private RunningHost _first = null!;
    private RunningHost _second = null!;

    public async Task InitializeAsync()
    {
        _first = await _launcher.StartReadyAsync("--hosts", "2");
        _second = await _launcher.StartReadyAsync("--hosts", "2", "--gpu", "none:1", "--seed", $"127.0.0.1:{_first.Ready.Port}");
    }

    public async Task DisposeAsync()
    {
        await EndLoopsAsync();
        await _launcher.DisposeAsync();
    }

    [Fact]
    [Trait("Category", "Long")]
    public async Task TwoHosts_MachineIsBusy_NeitherIsMissed()
    {
        var before = await MembersAsync();
        for (var i = 0; i < LoopCount; i++)
        {
            _loops.Add(Process.Start("sh", ["-c", "while :; do :; done"])!);
        }

        // The load is the test, so that its length is: nothing happens that could be waited for.
        await Task.Delay(BusyFor);
        await EndLoopsAsync();

        // The same lives of the same hosts, and neither was ever missed by the other.
        Assert.Equal(before, await MembersAsync());
        foreach (var host in new[] { _first, _second })
        {
            Assert.DoesNotContain("unreachable", host.Errors, StringComparison.OrdinalIgnoreCase);
        }
    }

    private async Task<string> MembersAsync()
    {
        var view = await _second.GetUntilAsync(
            "/cluster/members", ManagementJsonContext.Default.ClusterMembersView, view => view.Members.Count(member => member.Status == "Up") == 2 && view.Unreachable.Count == 0);
        return string.Join(", ", view.Members.Select(member => $"{member.Node}#{member.NodeUid}"));
    }

    private async Task EndLoopsAsync()
    {
        foreach (var loop in _loops)
        {
            loop.Kill();
            await loop.WaitForExitAsync();
            loop.Dispose();
        }

        _loops.Clear();
    }
}
