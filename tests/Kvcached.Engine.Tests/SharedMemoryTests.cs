using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>Two hosts, two workers, a scheduler and a reader: all separate processes that see the same bytes, or none.</summary>
public sealed class SharedMemoryTests : IAsyncLifetime
{
    private const string Shape = "layers=2 blockBytes=8192 pages=32";
    private const int Rounds = 100;

    private EngineDomain _domain = null!;

    public async Task InitializeAsync() => _domain = await EngineDomain.StartAsync(hosts: 2);

    public async Task DisposeAsync() => await _domain.DisposeAsync();

    [Fact]
    public async Task Ten_thousand_blocks_allocated_and_freed_on_several_threads_should_hold_what_was_written_on_every_rank()
    {
        var scheduler = await _domain.StartSchedulerAsync();
        var atStart = await CountAsync(scheduler);
        await scheduler.DoAsync(_domain.OpenPoolCommand("pool", Shape));
        var workers = await _domain.StartWorkersAsync("pool");
        var reader = _domain.StartProbe();
        var random = new Random(7);
        var live = new Dictionary<int, int>();
        var allocated = 0;
        for (var round = 1; round <= Rounds; round++)
        {
            var taken = BlocksOf(await scheduler.GrantedAsync("allocate pool=pool count=25 threads=4"));
            allocated += taken.Length;
            foreach (var block in taken)
            {
                Assert.True(live.TryAdd(block, round), $"block {block} was handed out twice");
            }

            await OnWorkersAsync(workers, $"write version={round} blocks={List(taken)}");
            var leaving = live.Keys.Where(_ => random.Next(2) == 0 || round == Rounds).ToArray();
            foreach (var age in leaving.GroupBy(block => live[block]))
            {
                var blocks = List(age);
                await OnWorkersAsync(workers, $"verify version={age.Key} blocks={blocks}");
                for (var rank = 0; rank < workers.Length; rank++)
                {
                    await AssertReadAsync(reader, workers[rank], rank, age.Key, blocks);
                }
            }

            await scheduler.DoAsync($"free pool=pool threads=4 blocks={List(leaving)}");
            foreach (var block in leaving)
            {
                live.Remove(block);
            }

            if (round % 10 == 0)
            {
                await scheduler.DoAsync("trim pool=pool");
            }
        }

        Assert.Equal(10_000, allocated);
        await scheduler.DoAsync("trim pool=pool");
        Assert.Equal(0, (await scheduler.DoAsync("pool-stats pool=pool")).GetProperty("mappedPages").GetInt32());
        await AssertNothingIsLeftAsync(scheduler, workers, atStart);
    }

    private async Task AssertNothingIsLeftAsync(Probe scheduler, Probe[] workers, (int Descriptors, int MemoryFiles) atStart)
    {
        foreach (var worker in workers)
        {
            var arena = await worker.DoAsync("arena");
            Assert.Equal((0, 0), (arena.GetProperty("extents").GetInt32(), arena.GetProperty("descriptors").GetInt32()));
        }

        await scheduler.DoAsync("close-pool pool=pool");
        await scheduler.DoAsync("close-session");
        var atEnd = await CountAsync(scheduler);
        Assert.True(atEnd.Descriptors <= atStart.Descriptors && atEnd.MemoryFiles == 0, $"{atStart} became {atEnd}");
        foreach (var worker in workers)
        {
            await worker.UntilAsync("arena", arena => arena.GetProperty("gone").GetString() is not null);
            await worker.DoAsync("detach");
            Assert.Equal(0, (await CountAsync(worker)).MemoryFiles);
        }

        await _domain.IsEmptyAsync();
        for (var rank = 0; rank < workers.Length; rank++)
        {
            var gpu = (await _domain.Hosts[rank].GetAsync("/gpus", Core.Contracts.ManagementJsonContext.Default.GpuViewArray))
                .Single(view => view.Gpu == _domain.Hosts[rank].Ready.Gpu);
            Assert.Equal((0L, 0, 0), (gpu.RankMappedBytes + gpu.RankKeptBytes, gpu.HandleCount, gpu.FileDescriptorCount));
        }
    }

    private async Task AssertReadAsync(Probe reader, Probe worker, int rank, int version, string blocks)
    {
        var arena = await worker.DoAsync("arena");
        var read = await reader.DoAsync(
            $"read-other pid={worker.ProcessId} base={arena.GetProperty("base")} poolId={arena.GetProperty("poolId")} rank={rank} gpus={_domain.Gpus} "
            + $"{Shape} version={version} blocks={blocks}");
        Assert.Equal(0, read.GetProperty("corrupt").GetInt32());
    }

    private static async Task OnWorkersAsync(Probe[] workers, string command)
    {
        foreach (var worker in workers)
        {
            await worker.SendAsync(command);
        }

        foreach (var worker in workers)
        {
            var answer = await worker.AnswerAsync(command);
            Assert.True(answer.GetProperty("ok").GetBoolean(), answer.ToString());
            Assert.True(!answer.TryGetProperty("corrupt", out var corrupt) || corrupt.GetInt32() == 0, answer.ToString());
        }
    }

    private static async Task<(int Descriptors, int MemoryFiles)> CountAsync(Probe probe)
    {
        var process = await probe.DoAsync("process");
        return (process.GetProperty("descriptors").GetInt32(), process.GetProperty("memoryFiles").GetInt32());
    }
}
