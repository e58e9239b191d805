using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>Schedulers that are killed and started again, and hosts that go while somebody waits for them.</summary>
public sealed class SchedulerDeathTests : IAsyncLifetime
{
    private const string Shape = "layers=2 pages=32";

    private EngineDomain _domain = null!;

    public async Task InitializeAsync() => _domain = await EngineDomain.StartAsync(hosts: 2);

    public async Task DisposeAsync() => await _domain.DisposeAsync();

    [Theory]
    [InlineData(false, false, 0)]
    [InlineData(true, false, 0)]
    [InlineData(false, false, 1)]
    [InlineData(false, true, 0)]
    public async Task A_scheduler_that_is_started_again_should_find_its_tagged_blocks_and_their_bytes(bool workersDieToo, bool hostDiesToo, int successorHost)
    {
        var scheduler = await _domain.StartSchedulerAsync();
        await scheduler.DoAsync(_domain.OpenPoolCommand("pool", Shape));
        var workers = await _domain.StartWorkersAsync("pool");
        var blocks = BlocksOf(await scheduler.GrantedAsync("allocate pool=pool count=40"));
        foreach (var worker in workers)
        {
            await worker.DoAsync($"write version=9 blocks={List(blocks)}");
        }

        var kept = blocks.Where((_, index) => index % 4 == 0).ToArray();
        foreach (var block in kept)
        {
            await scheduler.DoAsync($"cache pool=pool block={block} tag=prefix-{block}");
        }

        if (hostDiesToo)
        {
            await _domain.AreTagsCopiedAsync();
            await _domain.KillHostAsync(0);
        }

        await scheduler.KillAsync();
        if (hostDiesToo)
        {
            await _domain.RestartHostAsync(0, seed: 1);
        }

        if (workersDieToo)
        {
            foreach (var worker in workers)
            {
                await worker.KillAsync();
            }
        }

        // Over whichever host it comes: the tags are with the one that its predecessor was connected to.
        var successor = _domain.StartProbe();
        await successor.DoAsync($"open-session socket={_domain.SocketOf(successorHost)} engine=probe");
        await successor.UntilAsync(_domain.OpenPoolCommand("pool", Shape + " deadline=10"), answer => answer.GetProperty("ok").GetBoolean());
        var tagged = (await successor.DoAsync("tagged pool=pool")).GetProperty("tagged");
        Assert.Equal(
            kept.Select(block => ($"prefix-{block}", block)).Order(),
            tagged.EnumerateObject().Select(tag => (tag.Name, tag.Value.GetInt32())).Order());
        Assert.Equal(0, (await successor.DoAsync("pool-stats pool=pool")).GetProperty("usedBlocks").GetInt32());

        if (workersDieToo)
        {
            workers = await _domain.StartWorkersAsync("pool");
        }

        foreach (var worker in workers)
        {
            await worker.UntilAsync("arena", arena => arena.GetProperty("pages").GetInt32() > 0);
            Assert.Equal(0, (await worker.DoAsync($"verify version=9 blocks={List(kept)}")).GetProperty("corrupt").GetInt32());
        }

        // The others are free again, and none of the kept ones is handed out.
        await successor.DoAsync($"take-cached pool=pool blocks={List(kept)}");
        var fresh = BlocksOf(await successor.GrantedAsync("allocate pool=pool count=40"));
        Assert.Empty(fresh.Intersect(kept));
    }

    [Fact]
    public async Task A_pool_that_nobody_opens_again_should_give_its_memory_back()
    {
        await using var domain = await EngineDomain.StartAsync(hosts: 1, "--reopen-window", "1s");
        var scheduler = await domain.StartSchedulerAsync();
        await scheduler.DoAsync(domain.OpenPoolCommand("pool", Shape));
        var workers = await domain.StartWorkersAsync("pool");
        await scheduler.GrantedAsync("grow pool=pool pages=4");
        await scheduler.KillAsync();
        await workers[0].UntilAsync("arena", arena => arena.GetProperty("gone").GetString() is not null);
        await domain.IsEmptyAsync();
    }

    [Fact]
    public async Task A_host_that_is_killed_in_mid_request_should_not_leave_anyone_waiting()
    {
        var scheduler = await _domain.StartSchedulerAsync();
        await scheduler.DoAsync(_domain.OpenPoolCommand("pool", Shape));
        var workers = await _domain.StartWorkersAsync("pool");
        await scheduler.GrantedAsync("grow pool=pool pages=1");
        workers[0].Stop();
        await scheduler.SendAsync("grow pool=pool pages=2 deadline=5");
        _domain.Hosts[0].Kill();
        var answer = await scheduler.AnswerAsync("grow");
        Assert.False(answer.GetProperty("ok").GetBoolean());
        Assert.Contains(answer.GetProperty("reason").GetString(), new[] { "DeadlineExceeded", "HostUnreachable", "RankUnavailable" });
        workers[0].Continue();

        // What the workers hold stays theirs while the host is away.
        Assert.Equal(1, (await workers[0].DoAsync("arena")).GetProperty("pages").GetInt32());
    }
}
