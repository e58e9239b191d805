using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>
/// The coordinator's host is killed while a decision is under way: at each driver call that a worker makes for it, on either rank. The request has one answer,
/// both ranks agree, and what was mapped before stays as it is.
/// </summary>
public sealed class CoordinatorDeathTests : IAsyncLifetime
{
    private const string Shape = "layers=2 pages=96";
    private const string Grow = "grow pool=pool pages=3 deadline=60";

    private EngineDomain _domain = null!;
    private Probe _scheduler = null!;
    private Probe[] _workers = null!;
    private Probe[] _others = null!;
    private int[] _blocks = null!;
    private int[] _otherBlocks = null!;
    private int _coordinator;

    public async Task InitializeAsync()
    {
        _domain = await EngineDomain.StartAsync(hosts: 2, "--worker-deadline", "20s", "--decision-deadline", "30s", "--session-lease", "10m");
        _scheduler = await _domain.StartSchedulerAsync();
        await _scheduler.DoAsync(_domain.OpenPoolCommand("pool", Shape));
        await _scheduler.DoAsync(_domain.OpenPoolCommand("other", Shape));
        _workers = await _domain.StartWorkersAsync("pool");
        _others = await _domain.StartWorkersAsync("other");
        _blocks = BlocksOf(await _scheduler.GrantedAsync("allocate pool=pool count=60"));
        _otherBlocks = BlocksOf(await _scheduler.GrantedAsync("allocate pool=other count=60"));
        await WriteAsync(_workers, _blocks);
        await WriteAsync(_others, _otherBlocks);
    }

    public async Task DisposeAsync() => await _domain.DisposeAsync();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Category", "Long")]
    public Task Each_call_of_a_map_may_be_the_one_at_which_the_coordinator_is_killed(bool isOwnRank) =>
        KillAtAsync(isOwnRank, calls => Enumerable.Range(1, calls));

    [Fact]
    public Task The_first_call_of_a_map_may_be_the_one_at_which_the_coordinator_is_killed() => KillAtAsync(isOwnRank: true, _ => [1]);

    [Fact]
    public Task The_last_call_of_a_map_may_be_the_one_at_which_the_coordinator_is_killed() => KillAtAsync(isOwnRank: false, calls => [calls]);

    private async Task KillAtAsync(bool isOwnRank, Func<int, IEnumerable<int>> choose)
    {
        var pages = (await _workers[0].DoAsync("arena")).GetProperty("pages").GetInt32();
        var calls = await CountCallsAsync();
        Assert.InRange(calls, 3, 40);
        foreach (var call in choose(calls))
        {
            var hanging = isOwnRank ? _coordinator : 1 - _coordinator;
            await _workers[hanging].DoAsync($"fail fault=any:{call}:hang");
            await _scheduler.SendAsync(Grow);
            await _workers[hanging].UntilAsync("hanging", answer => answer.GetProperty("hangs").GetBoolean());

            var killed = _coordinator;
            await _domain.KillHostAsync(killed);
            await AreIntactAsync();
            if (call % 2 == 0)
            {
                await _workers[hanging].DoAsync("release");
            }

            await _domain.RestartHostAsync(killed, seed: 1 - killed);
            _coordinator = 1 - killed;
            await AreIntactAsync();
            await _workers[hanging].DoAsync("release");
            await _domain.IsWholeAsync();
            var answer = await _scheduler.AnswerAsync(Grow);
            pages += answer.GetProperty("ok").GetBoolean() ? 3 : 0;
            await AgreeOnAsync(pages, $"Killed at call {call}; the answer was {answer}");

            // What is asked next is granted, and gives nothing out that is in use.
            await _scheduler.UntilAsync("grow pool=pool pages=1 deadline=10", next => next.GetProperty("ok").GetBoolean());
            await AgreeOnAsync(++pages, "After the next one");
            await _scheduler.UntilAsync("grow pool=other pages=1 deadline=10", next => next.GetProperty("ok").GetBoolean());
            await _scheduler.DoAsync("trim pool=other");
            await _scheduler.DoAsync("trim pool=pool");
            pages = (await _workers[0].DoAsync("arena")).GetProperty("pages").GetInt32();
            await AgreeOnAsync(pages, "After the return");
        }

        await AreIntactAsync();
    }

    /// <summary>How many driver calls a worker makes for the map that is tried, which leaves everything as it was.</summary>
    private async Task<int> CountCallsAsync()
    {
        var before = (await _workers[0].DoAsync("release")).GetProperty("calls").GetInt64();
        await _scheduler.DoAsync(Grow);
        var after = (await _workers[0].DoAsync("release")).GetProperty("calls").GetInt64();
        await _scheduler.DoAsync("trim pool=pool");
        return (int)(after - before);
    }

    private async Task AreIntactAsync()
    {
        foreach (var (workers, blocks) in new[] { (_workers, _blocks), (_others, _otherBlocks) })
        {
            foreach (var worker in workers)
            {
                Assert.Equal(0, (await worker.DoAsync($"verify version=1 blocks={List(blocks)}")).GetProperty("corrupt").GetInt32());
            }
        }
    }

    private async Task AgreeOnAsync(int pages, string when)
    {
        await AgreeAsync(_workers, pages, when);
        await AreIntactAsync();
    }

    private static async Task WriteAsync(Probe[] workers, int[] blocks)
    {
        foreach (var worker in workers)
        {
            await worker.DoAsync($"write version=1 blocks={List(blocks)}");
        }
    }
}
