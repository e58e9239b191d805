using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>Hosts that are killed, or stopped for an upgrade, and started again while engines live on: workers have kept the memory, and hand it over.</summary>
public sealed class HostDeathTests : IAsyncLifetime
{
    private const string Shape = "layers=2 pages=64";

    private EngineDomain _domain = null!;
    private Probe _scheduler = null!;
    private Probe[] _workers = null!;
    private int[] _blocks = null!;

    public async Task InitializeAsync()
    {
        // A host is away for as long as the machine takes to start it; the session is to outlive that.
        _domain = await EngineDomain.StartAsync(hosts: 2, "--session-lease", "10m");
        _scheduler = await _domain.StartSchedulerAsync();
        await _scheduler.DoAsync(_domain.OpenPoolCommand("pool", Shape));
        _workers = await _domain.StartWorkersAsync("pool");
        _blocks = BlocksOf(await _scheduler.GrantedAsync("allocate pool=pool count=60"));
        foreach (var worker in _workers)
        {
            await worker.DoAsync($"write version=1 blocks={List(_blocks)}");
        }
    }

    public async Task DisposeAsync() => await _domain.DisposeAsync();

    [Fact]
    public async Task All_hosts_are_killed_at_once_and_everything_is_taken_over()
    {
        var before = await _domain.GpusUntilAsync(gpus => gpus.Length == 2);
        await Task.WhenAll(_domain.KillHostAsync(0), _domain.KillHostAsync(1));
        await AreIntactAsync();

        await _domain.RestartHostAsync(0, seed: null);
        await _domain.RestartHostAsync(1, seed: 0);
        await GoesOnAsync();
        var after = await _domain.GpusUntilAsync(gpus => gpus.Length == 2);
        Assert.All(after, gpu => Assert.True(gpu.UsedBytes >= before[0].UsedBytes, $"{gpu.Gpu} counts {gpu.UsedBytes} bytes, not {before[0].UsedBytes} or more."));
        await EndsEmptyAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_killed_host_takes_over_what_its_worker_has_kept(int killed)
    {
        await _domain.KillHostAsync(killed);
        await AreIntactAsync();

        await _domain.RestartHostAsync(killed, seed: 1 - killed);
        await GoesOnAsync();
        await EndsEmptyAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_drained_host_that_is_stopped_and_started_again_loses_nothing(int upgraded)
    {
        var drained = await _domain.DrainAsync(upgraded);
        Assert.Equal((true, string.Empty), (drained.Pools.Single().IsKept, drained.Pools.Single().Awaited));
        await _scheduler.RefusedAsync("Draining", "grow pool=pool pages=1 deadline=5");
        await _domain.StopHostAsync(upgraded);
        await AreIntactAsync();

        await _domain.RestartHostAsync(upgraded, seed: 1 - upgraded);
        await GoesOnAsync();
        await EndsEmptyAsync();
    }

    [Fact]
    public async Task A_worker_that_ends_instead_frees_its_host_and_the_pool_is_lost()
    {
        await _domain.KillHostAsync(1);
        _workers[1].Stop();
        var restarted = _domain.RestartHostAsync(1, seed: 0);
        await restarted;

        // It waits for the worker, which can do nothing.
        await _scheduler.RefusedAsync("RankUnavailable", "grow pool=pool pages=1 deadline=1");
        await _workers[1].KillAsync();

        await _scheduler.UntilAsync("grow pool=pool pages=1 deadline=1", answer => answer.GetProperty("reason").GetString() is "PoolLost" or "UnknownPool");
        await _scheduler.DoAsync("close-pool pool=pool");
        await _domain.IsEmptyAsync();
        await _scheduler.DoAsync(_domain.OpenPoolCommand("pool", Shape));
        _workers[0] = _domain.StartProbe();
        _workers[1] = _domain.StartProbe();
        for (var rank = 0; rank < 2; rank++)
        {
            await _workers[rank].DoAsync(_domain.AttachCommand("pool", rank));
        }

        await _scheduler.GrantedAsync("allocate pool=pool count=10");
    }

    // The workers read what they wrote, whatever the hosts do.
    private async Task AreIntactAsync()
    {
        foreach (var worker in _workers)
        {
            var read = await worker.DoAsync($"verify version=1 blocks={List(_blocks)}");
            Assert.Equal(0, read.GetProperty("corrupt").GetInt32());
        }
    }

    private async Task GoesOnAsync()
    {
        await _domain.IsWholeAsync();
        await _scheduler.UntilAsync("grow pool=pool pages=2 deadline=5", answer => answer.GetProperty("ok").GetBoolean());
        await AreIntactAsync();
        var more = BlocksOf(await _scheduler.DoAsync("allocate pool=pool count=20"));
        Assert.Empty(more.Intersect(_blocks));
        foreach (var worker in _workers)
        {
            await worker.DoAsync($"write version=2 blocks={List(more)}");
            Assert.Equal(0, (await worker.DoAsync($"verify version=2 blocks={List(more)}")).GetProperty("corrupt").GetInt32());
        }

        await AreIntactAsync();
        Assert.Equal(await DigestAsync(0), await DigestAsync(1));
    }

    private async Task EndsEmptyAsync()
    {
        await _scheduler.DoAsync("close-pool pool=pool");
        foreach (var worker in _workers)
        {
            await worker.UntilAsync("arena", arena => arena.GetProperty("descriptors").GetInt32() == 0);
        }

        await _domain.IsEmptyAsync();
    }

    private async Task<string?> DigestAsync(int rank) => (await _workers[rank].DoAsync("arena")).GetProperty("digest").GetString();
}
