using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Tests.Fakes;
using Kvcached.TraceReplay.Traces;

namespace Kvcached.TraceReplay.Tests.Engine;

public sealed class ReplayEngineTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly VirtualTime _time = new();

    [Fact]
    public async Task RunAsync_AmpleMemory_FinishesAllAndVerifiesEveryBlock()
    {
        var pool = new FakePool(new FakeMemory(1000), _time);

        var report = await RunAsync(pool, Given.Requests(50, Second / 5, context: 1000, generated: 200));

        Assert.Equal((50, 50, 0), (report.Finished, report.Arrived, report.Unfinished()));
        Assert.Null(report.Problem);
        Assert.Empty(pool.Violations);
        // 1200 tokens take 75 blocks of 16, whenever they are allocated.
        Assert.Equal(50 * 75, report.BlocksAllocated);
        Assert.Equal(report.BlocksAllocated, report.BlocksVerified);
        Assert.Equal((0, 0, 0L, 0L), (pool.UsedBlocks, (int)report.Preemptions, report.CorruptBlocks, report.Refusals));
        Assert.Equal(report.BlocksAllocated, pool.HighestVersion);
        Assert.Equal(report.BlocksFilledWhole, pool.WholeStamps);
        Assert.InRange(report.BlocksFilledWhole, 1, report.BlocksAllocated / 10);
    }

    [Fact]
    public async Task RunAsync_PoolLosesItsData_ComputesItAgainAndFinishesAll()
    {
        var pool = new FakePool(new FakeMemory(1000), _time);
        var isLost = false;
        pool.IsMute = () =>
        {
            // In the middle of a turn, with sequences running.
            if (!isLost && _time.Now > 3 * Second)
            {
                isLost = true;
                pool.Reset();
            }

            return false;
        };

        var report = await RunAsync(pool, Given.Requests(50, Second / 5, context: 1000, generated: 200));

        Assert.True(pool.LostBlocks > 0);
        Assert.Equal(50, report.Finished);
        Assert.Equal((pool.LostBlocks, 0L), (report.BlocksLost, report.CorruptBlocks));
        Assert.Equal(report.BlocksAllocated, report.BlocksVerified + report.BlocksLost);
        Assert.Empty(pool.Violations);
        Assert.Equal(0, pool.UsedBlocks);
    }

    [Fact]
    public async Task RunAsync_MemoryForAFewOnly_LetsTheOthersWaitAndLosesNone()
    {
        // Each request takes 75 blocks, a page has 128: two pages hold three of the fifty that arrive at once.
        var pool = new FakePool(new FakeMemory(2), _time);

        var report = await RunAsync(pool, Given.Requests(50, TimeSpan.Zero, context: 1000, generated: 200), drain: TimeSpan.FromHours(1));

        Assert.Equal(50, report.Finished);
        Assert.True(report.Refusals > 0);
        Assert.Equal(report.BlocksAllocated, report.BlocksVerified);
        Assert.Empty(pool.Violations);
        Assert.Equal(0, pool.UsedBlocks);
    }

    [Fact]
    public async Task RunAsync_SequencesOutgrowMemory_PreemptsAndFinishesAll()
    {
        // Eight requests begin in one block each and end with 126: one page holds all at first, but only one at the end.
        var pool = new FakePool(new FakeMemory(1), _time);

        var report = await RunAsync(pool, Given.Requests(8, TimeSpan.Zero, context: 16, generated: 2000), drain: TimeSpan.FromHours(1));

        Assert.Equal(8, report.Finished);
        Assert.True(report.Preemptions > 0);
        Assert.Equal(report.BlocksAllocated, report.BlocksVerified);
        Assert.Empty(pool.Violations);
    }

    [Fact]
    public async Task RunAsync_TwoEnginesThatBlockEachOther_BothFinish()
    {
        var memory = new FakeMemory(2);
        var (first, second) = (new FakePool(memory, _time, "a"), new FakePool(memory, _time, "b"));

        var reports = await Task.WhenAll(
            RunAndCloseAsync(first, Given.Requests(4, TimeSpan.Zero, context: 1000, generated: 1000), drain: TimeSpan.FromHours(5)),
            RunAndCloseAsync(second, Given.Requests(4, TimeSpan.Zero, context: 1000, generated: 1000), drain: TimeSpan.FromHours(5)));

        Assert.All(reports, report => Assert.Equal(4, report.Finished));
        Assert.Empty(first.Violations.Concat(second.Violations));
    }

    [Fact]
    public async Task RunAsync_CorruptBlock_IsCounted()
    {
        var pool = new FakePool(new FakeMemory(100), _time) { Corrupts = stamp => stamp.Version == 3 };

        var report = await RunAsync(pool, Given.Requests(2, Second, context: 100, generated: 20));

        Assert.Equal((1L, 2), (report.CorruptBlocks, report.Finished));
        Assert.Equal("another stamp", report.Problem);
    }

    [Fact]
    public async Task RunAsync_RankIsMuteForAWhile_KeepsBlocksUntilItAnswers()
    {
        var pool = new FakePool(new FakeMemory(100), _time) { IsMute = () => _time.Now > Second && _time.Now < Second * 5 };

        var report = await RunAsync(pool, Given.Requests(20, Second / 5, context: 100, generated: 20));

        Assert.Equal(20, report.Finished);
        Assert.Equal(report.BlocksAllocated, report.BlocksVerified);
        Assert.Equal(0, report.CorruptBlocks);
        Assert.Empty(pool.Violations);
    }

    [Fact]
    public async Task RunAsync_RankStaysMute_FreesNothingAndSaysSo()
    {
        var pool = new FakePool(new FakeMemory(100), _time) { IsMute = () => true };

        var report = await RunAsync(pool, Given.Requests(3, Second, context: 100, generated: 20), drain: Second * 10);

        Assert.Equal(0, report.BlocksVerified);
        Assert.True(pool.UsedBlocks > 0);
        Assert.Equal("a rank is mute", report.Problem);
    }

    [Fact]
    public async Task RunAsync_MemoryNeverComes_EndsAtTheDrainLimitWithAllUnfinished()
    {
        var pool = new FakePool(new FakeMemory(0), _time);

        var report = await RunAsync(pool, Given.Requests(5, Second, context: 100, generated: 20), drain: Second * 30);

        Assert.Equal((5, 5, 0), (report.Unfinished(), report.Waiting, report.Finished));
        Assert.True(report.Refusals > 10);
        // 330 s in all, with pauses of up to a second between requests: far fewer than one a turn.
        Assert.True(report.Refusals < 350, $"{report.Refusals} refusals");
    }

    [Fact]
    public async Task RunAsync_LongPauseInTheTrace_DoesNotSpin()
    {
        var pool = new FakePool(new FakeMemory(100), _time);
        ImmutableArray<TraceRequest> requests = [new(0, TimeSpan.Zero, 100, 10), new(1, TimeSpan.FromMinutes(4), 100, 10)];

        var report = await RunAsync(pool, requests);

        Assert.Equal(2, report.Finished);
        // Twice a second to look at warm pages; at 40 turns a second it would be 9,600.
        Assert.True(_time.WaitCount < 800, $"{_time.WaitCount} waits");
    }

    [Fact]
    public async Task RunAsync_Idle_ReturnsItsPages()
    {
        var memory = new FakeMemory(100);
        ImmutableArray<TraceRequest> requests = [.. Given.Requests(20, TimeSpan.Zero, 1000, 200), new(20, TimeSpan.FromMinutes(1), 16, 1)];
        var pool = new FakePool(memory, _time);

        var report = await RunAsync(pool, requests);

        Assert.Equal(21, report.Finished);
        Assert.True(report.PeakMappedBytes > 5L * 2 * 8 * (2 << 20));
        Assert.InRange(pool.MappedPages, 0, 2);
    }

    [Fact]
    public async Task WarmUpAsync_Done_LeavesNothingBehind()
    {
        var pool = new FakePool(new FakeMemory(3), _time) { GrowthLatency = TimeSpan.Zero, SettlesAtOnce = true };
        var engine = Engine(pool, Given.Requests(1, Second, 100, 20), TimeSpan.FromMinutes(2));

        await engine.WarmUpAsync(CancellationToken.None);
        Assert.Equal((0, 0), (pool.UsedBlocks, pool.MappedPages));
        var report = await engine.RunAsync(_ => { }, CancellationToken.None);

        Assert.Equal(1, report.Finished);
        Assert.Equal(report.BlocksAllocated, report.BlocksVerified);
        Assert.Empty(pool.Violations);
        // The fake's samples were all there before the run, so none of them is the run's.
        Assert.Empty(engine.MapMilliseconds);
    }

    [Fact]
    public async Task RunAsync_Cancelled_VerifiesAndFreesWhatRuns()
    {
        var pool = new FakePool(new FakeMemory(1000), _time);
        using var cancellation = new CancellationTokenSource();
        var engine = Engine(pool, Given.Requests(100, Second / 5, 1000, 500), TimeSpan.FromMinutes(2));

        var report = await engine.RunAsync(
            r =>
            {
                if (r.Finished > 3)
                {
                    cancellation.Cancel();
                }
            },
            cancellation.Token);

        Assert.True(report.Unfinished() > 0);
        Assert.Equal(report.BlocksAllocated, report.BlocksVerified);
        Assert.Equal(0, pool.UsedBlocks);
        Assert.Empty(pool.Violations);
    }

    [Fact]
    public async Task RunAsync_PoolWithdrawn_EndsWithTheReason()
    {
        var pool = new FakePool(new FakeMemory(1000), _time);
        var engine = Engine(pool, Given.Requests(100, Second / 5, 1000, 500), TimeSpan.FromMinutes(2));

        var report = await engine.RunAsync(
            r => pool.Withdrawn = r.Finished > 3 ? new Refusal(RefusalReason.PoolLost, "its rank is gone") : null, CancellationToken.None);

        Assert.Contains("its rank is gone", report.Problem, StringComparison.Ordinal);
        Assert.True(report.Unfinished() > 0);
    }

    [Theory]
    [InlineData(0.5)]
    [InlineData(1)]
    [InlineData(20)]
    public async Task RunAsync_AnySpeed_AllocatesTheSameBlocks(double speed)
    {
        var pool = new FakePool(new FakeMemory(1000), _time);
        var options = new ReplayOptions { Speed = speed, Window = TimeSpan.FromMinutes(5) };
        var engine = new ReplayEngine("e", "m", pool, Given.Requests(40, Second, 1000, 200), options, _time);

        var report = await engine.RunAsync(_ => { }, CancellationToken.None);

        Assert.Equal((40, 40L * 75), (report.Finished, report.BlocksAllocated));
        // 40 s of arrivals and about 5 s for the last one, in trace time.
        Assert.InRange(report.TraceSeconds, 44, 50);
    }

    private Task<EngineReport> RunAsync(FakePool pool, ImmutableArray<TraceRequest> requests, TimeSpan? drain = null) =>
        Engine(pool, requests, drain ?? TimeSpan.FromMinutes(2)).RunAsync(_ => { }, CancellationToken.None);

    private async Task<EngineReport> RunAndCloseAsync(FakePool pool, ImmutableArray<TraceRequest> requests, TimeSpan drain)
    {
        await using (pool)
        {
            return await RunAsync(pool, requests, drain);
        }
    }

    private ReplayEngine Engine(FakePool pool, ImmutableArray<TraceRequest> requests, TimeSpan drain) =>
        new("engine", "model", pool, requests, new ReplayOptions { DrainLimit = drain }, _time);
}
