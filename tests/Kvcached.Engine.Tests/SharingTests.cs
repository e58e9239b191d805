using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>Two engines that need more memory together than there is: 512 MiB on each rank, pages of 8 MiB, so 64 page ids, 32 to each.</summary>
public sealed class SharingTests
{
    private const string Shape = "layers=2 pages=64";

    [Fact]
    public async Task A_pool_above_its_share_should_make_room_with_what_it_caches_and_with_what_its_engine_preempts()
    {
        await using var domain = await EngineDomain.StartAsync(hosts: 2, "--shrink-deadline", "30s");
        var large = await domain.StartSchedulerAsync("large");
        await large.DoAsync(domain.OpenPoolCommand("large", Shape));
        var largeWorkers = await domain.StartWorkersAsync("large");
        var blocks = BlocksOf(await large.GrantedAsync("allocate pool=large count=2048"));
        foreach (var worker in largeWorkers)
        {
            await worker.DoAsync($"write version=1 blocks={List(blocks)}");
        }

        Assert.Equal(64, (await large.DoAsync("pool-stats pool=large")).GetProperty("mappedPages").GetInt32());

        var small = await domain.StartSchedulerAsync("small");
        await small.DoAsync(domain.OpenPoolCommand("small", Shape));
        var smallWorkers = await domain.StartWorkersAsync("small");

        // More than its share: refused, with who holds the rest.
        var text = await RefusedWhenAttachedAsync(small, "grow pool=small pages=33 deadline=20");
        Assert.Contains("large", text, StringComparison.Ordinal);
        Assert.Equal(0, (await large.DoAsync("pool-stats pool=large")).GetProperty("shrinks").GetInt32());

        // The engine preempts: its blocks are freed after it was asked, and go to who waits.
        await small.SendAsync("grow pool=small pages=4 deadline=20");
        await large.UntilAsync("pool-stats pool=large", stats => stats.GetProperty("shrinks").GetInt32() == 1);
        Assert.Equal(4, (await large.DoAsync("pool-stats pool=large")).GetProperty("askedPages").GetInt32());
        foreach (var page in Enumerable.Range(0, 64).Take(4))
        {
            await large.DoAsync($"free pool=large blocks={List(blocks.Where(block => block / 32 == page))}");
        }

        var granted = await small.AnswerAsync("grow");
        Assert.True(granted.GetProperty("ok").GetBoolean(), granted.ToString());
        Assert.Equal(60, (await large.DoAsync("pool-stats pool=large")).GetProperty("mappedPages").GetInt32());

        // What was the other's reads as zeroes, on every rank.
        var fresh = BlocksOf(await small.DoAsync("allocate pool=small count=128"));
        foreach (var worker in smallWorkers)
        {
            Assert.Equal(0, (await worker.DoAsync($"count-dirty blocks={List(fresh)}")).GetProperty("dirty").GetInt32());
        }

        // And the large one, above its share, can't take it back.
        await large.RefusedAsync("OutOfMemory", "grow pool=large pages=1 deadline=5");
        Assert.Equal(0, (await small.DoAsync("pool-stats pool=small")).GetProperty("shrinks").GetInt32());
    }

    private static async Task<string> RefusedWhenAttachedAsync(Probe scheduler, string command)
    {
        var answer = await scheduler.UntilAsync(command, answer => !answer.GetProperty("ok").GetBoolean() && answer.GetProperty("reason").GetString() != "NotAttached");
        Assert.Equal("OutOfMemory", answer.GetProperty("reason").GetString());
        return answer.GetProperty("text").GetString()!;
    }
}
