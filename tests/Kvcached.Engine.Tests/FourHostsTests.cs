using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>A domain of four hosts loses one, which comes back: pools without a rank there don't notice, one with a rank there waits and keeps its data.</summary>
public sealed class FourHostsTests : IAsyncLifetime
{
    private const string Shape = "layers=1 pages=32";

    private EngineDomain _domain = null!;
    private Probe _scheduler = null!;
    private Probe[] _workers = null!;
    private int[] _blocks = null!;

    public async Task InitializeAsync()
    {
        _domain = await EngineDomain.StartAsync(hosts: 4);
        _scheduler = _domain.StartProbe();
        await _scheduler.DoAsync($"open-session socket={_domain.SocketOf(2)} engine=four");
        await _scheduler.DoAsync(_domain.OpenPoolCommand("all", Shape));
        await _scheduler.DoAsync($"open-pool name=some gpus={_domain.Hosts[2].Ready.Gpu},{_domain.Hosts[3].Ready.Gpu} target=Host {Shape}");
        _workers = await _domain.StartWorkersAsync("all");
        _blocks = BlocksOf(await _scheduler.GrantedAsync("allocate pool=all count=30"));
        foreach (var worker in _workers)
        {
            await worker.DoAsync($"write version=1 blocks={List(_blocks)}");
        }
    }

    public async Task DisposeAsync() => await _domain.DisposeAsync();

    [Fact]
    public Task The_coordinators_of_four_hosts_is_killed_and_comes_back() => KillAsync(0);

    [Fact]
    [Trait("Category", "Long")]
    public Task Another_of_four_hosts_is_killed_and_comes_back() => KillAsync(1);

    private async Task KillAsync(int killed)
    {
        await _domain.KillHostAsync(killed);

        await _scheduler.UntilAsync("grow pool=some pages=2 deadline=5", answer => answer.GetProperty("ok").GetBoolean());
        var refused = await _scheduler.AskAsync("grow pool=all pages=1 deadline=1");
        Assert.Contains(refused.GetProperty("reason").GetString(), new[] { "RankUnavailable", "Recovering" });
        await AreIntactAsync();

        await _domain.RestartHostAsync(killed, seed: 3);
        await _domain.IsWholeAsync();
        await _scheduler.UntilAsync("grow pool=all pages=2 deadline=5", answer => answer.GetProperty("ok").GetBoolean());
        await AreIntactAsync();
        var pages = (await _workers[0].DoAsync("arena")).GetProperty("pages").GetInt32();
        await AgreeAsync(_workers, pages, "After the host came back");
        await _scheduler.DoAsync("close-pool pool=all");
        await _scheduler.DoAsync("close-pool pool=some");
        await _domain.IsEmptyAsync();
    }

    private async Task AreIntactAsync()
    {
        foreach (var worker in _workers)
        {
            Assert.Equal(0, (await worker.DoAsync($"verify version=1 blocks={List(_blocks)}")).GetProperty("corrupt").GetInt32());
        }
    }
}
