using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>
/// On one rank of two, in processes of their own, each driver call of a worker and of a host is made to fail: both workers end with the same table, the
/// scheduler is told why, and what it asks next works.
/// </summary>
public sealed class DriverFailureTests : IAsyncLifetime
{
    private const string Shape = "layers=2 pages=64";
    private const string Grow = "grow pool=pool pages=3 deadline=30";

    private EngineDomain _domain = null!;
    private Probe _scheduler = null!;
    private Probe[] _workers = null!;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _domain.DisposeAsync();

    [Fact]
    public Task Each_call_of_a_worker_that_maps_may_fail() => FailCallsThatMapAsync(rank: 1);

    [Fact]
    [Trait("Category", "Long")]
    public Task Each_call_of_the_first_worker_that_maps_may_fail() => FailCallsThatMapAsync(rank: 0);

    private async Task FailCallsThatMapAsync(int rank)
    {
        await StartAsync();
        await _scheduler.GrantedAsync(Grow);
        await _scheduler.DoAsync("trim pool=pool");
        var calls = await FailEachCallAsync(rank, async wasMet =>
        {
            var grown = await _scheduler.AskAsync(Grow);
            if (await wasMet())
            {
                Assert.Equal("DriverFailed", grown.GetProperty("reason").GetString());
                await AgreeAsync(_workers, pages: 0);
                grown = await _scheduler.DoAsync(Grow);
            }

            Assert.True(grown.GetProperty("ok").GetBoolean(), $"{grown}");
            await AgreeAsync(_workers, pages: 3);
            await _scheduler.DoAsync("trim pool=pool");
        });

        // Two extents: each is imported, mapped and made accessible, and no worker shares what it was lent.
        Assert.InRange(calls, 6, 40);
        await EndsEmptyAsync();
    }

    [Fact]
    public Task Each_call_of_a_worker_that_unmaps_may_fail() => FailCallsThatUnmapAsync(rank: 1);

    [Fact]
    [Trait("Category", "Long")]
    public Task Each_call_of_the_first_worker_that_unmaps_may_fail() => FailCallsThatUnmapAsync(rank: 0);

    private async Task FailCallsThatUnmapAsync(int rank)
    {
        await StartAsync();
        await _scheduler.GrantedAsync(Grow);
        var calls = await FailEachCallAsync(rank, async wasMet =>
        {
            await _scheduler.DoAsync("trim pool=pool");
            await wasMet();
            await AgreeAsync(_workers, pages: 0);
            await _domain.GpusUntilAsync(gpus => gpus.All(gpu => gpu.QuarantinedBytes == 0));
            await _scheduler.DoAsync(Grow);
            await AgreeAsync(_workers, pages: 3);
        });

        Assert.InRange(calls, 2, 40);
        await EndsEmptyAsync();
    }

    [Fact]
    public async Task Calls_of_a_host_fail_as_it_was_told_to_let_them()
    {
        // Each growth by three pages asks for memory of two extents in two pieces each, and shares it with the worker.
        await StartAsync("--test-fail", "create:2:OutOfMemory", "--test-fail", "export:1:Unknown");

        var refused = await _scheduler.UntilAsync(Grow, answer => answer.GetProperty("ok").GetBoolean() || answer.GetProperty("reason").GetString() != "NotAttached");
        Assert.Equal("OutOfMemory", refused.GetProperty("reason").GetString());
        await AgreeAsync(_workers, pages: 0);
        await _scheduler.RefusedAsync("Busy", Grow);
        await AgreeAsync(_workers, pages: 0);
        await _scheduler.DoAsync(Grow);
        await AgreeAsync(_workers, pages: 3);
        await EndsEmptyAsync();
    }

    private async Task StartAsync(params string[] arguments)
    {
        // No deadline is to decide here, however busy the machine is.
        _domain = await EngineDomain.StartAsync(hosts: 2, [.. arguments, "--worker-deadline", "20s", "--decision-deadline", "30s"]);
        _scheduler = await _domain.StartSchedulerAsync();
        await _scheduler.DoAsync(_domain.OpenPoolCommand("pool", Shape));
        _workers = await _domain.StartWorkersAsync("pool");
    }

    /// <summary>Lets the first call of a worker's driver fail, then the second, until an act has no call left to fail; says how many there were.</summary>
    private async Task<int> FailEachCallAsync(int rank, Func<Func<Task<bool>>, Task> act)
    {
        for (var call = 1; call < 100; call++)
        {
            var before = (await _workers[rank].DoAsync($"fail fault=any:{call}:Unknown")).GetProperty("calls").GetInt64();
            var wasMet = false;
            await act(async () => wasMet = (await _workers[rank].DoAsync("heal")).GetProperty("calls").GetInt64() - before >= call);
            if (!wasMet)
            {
                return call - 1;
            }
        }

        throw new InvalidOperationException("The calls never end.");
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
}
