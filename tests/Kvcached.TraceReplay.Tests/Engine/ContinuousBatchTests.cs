using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Tests.Fakes;
using Kvcached.TraceReplay.Traces;

namespace Kvcached.TraceReplay.Tests.Engine;

public sealed class ContinuousBatchTests
{
    private static readonly ReplayOptions Options = new() { PrefillTokensPerSecond = 1e9 };
    private static readonly TimeSpan Later = TimeSpan.FromSeconds(1);

    private readonly FakePool _pool;
    private readonly CheckedBlocks _blocks;
    private readonly ContinuousBatch _batch;

    public ContinuousBatchTests()
    {
        var time = new VirtualTime();
        _pool = new FakePool(new FakeMemory(1), time);
        _blocks = new CheckedBlocks(_pool, seed: 1, wholeShare: 0);
        _batch = new ContinuousBatch(_blocks, Options);
        _ = _pool.GrowAsync(0, 1, TimeSpan.Zero, CancellationToken.None);
        time.Advance(Later);
    }

    [Fact]
    public void Admit_FirstDoesNotFit_DoesNotLetTheNextPass()
    {
        Enqueue(0, context: 16 * 200);
        Enqueue(1, context: 16);

        _batch.Admit(TimeSpan.Zero, reserveBlocks: 0, freeBlocks: 128);

        Assert.Equal((2, 0, 0), (_batch.WaitingCount, _batch.RunningCount, _pool.UsedBlocks));
        Assert.Equal(201, _batch.DemandBlocks(TimeSpan.Zero, Later));
    }

    [Fact]
    public void Admit_Reserve_IsLeftFree()
    {
        Enqueue(0, context: 16 * 100);
        Enqueue(1, context: 16 * 20);

        _batch.Admit(TimeSpan.Zero, reserveBlocks: 10, freeBlocks: 128);

        Assert.Equal((1, 100), (_batch.RunningCount, _pool.UsedBlocks));
    }

    [Fact]
    public void Admit_PromptsTakeTime_AdmitsNoMoreThanCanBeComputed()
    {
        var batch = new ContinuousBatch(_blocks, new ReplayOptions { PrefillTokensPerSecond = 16 });
        for (var i = 0; i < 3; i++)
        {
            batch.Enqueue(new TraceRequest(i, TimeSpan.Zero, 16, 5));
        }

        batch.Admit(TimeSpan.Zero, 0, 128);
        Assert.Equal(1, batch.RunningCount);

        batch.Admit(TimeSpan.FromSeconds(1), 0, 127);
        Assert.Equal(2, batch.RunningCount);
    }

    [Fact]
    public void Decode_PromptNotComputed_AddsNoToken()
    {
        var batch = new ContinuousBatch(_blocks, new ReplayOptions { PrefillTokensPerSecond = 16 });
        batch.Enqueue(new TraceRequest(0, TimeSpan.Zero, 16, 1));
        batch.Admit(TimeSpan.Zero, 0, 128);

        batch.Decode(TimeSpan.FromSeconds(0.9), mayPreempt: false);
        batch.RetireFinished();
        Assert.Equal(0, batch.FinishedCount);

        batch.Decode(TimeSpan.FromSeconds(1), mayPreempt: false);
        batch.RetireFinished();
        Assert.Equal(1, batch.FinishedCount);
    }

    [Fact]
    public async Task Decode_NoBlockAndNoneToCome_PreemptsExactlyTheYoungest()
    {
        AdmitAll((0, 16 * 60), (1, 16 * 40), (2, 16 * 28));
        Assert.Equal(128, _pool.UsedBlocks);

        Assert.True(_batch.Decode(Later, mayPreempt: true));

        // All three lacked a block; the 28 of the youngest are more than enough.
        Assert.Equal((1L, 2, 1, 28), (_batch.PreemptionCount, _batch.RunningCount, _batch.WaitingCount, _blocks.RetiredCount));
        await _blocks.FlushAsync(CancellationToken.None);
        Assert.Equal(100, _pool.UsedBlocks);
        Assert.Empty(_pool.Violations);
        Assert.False(_batch.Decode(Later, mayPreempt: true));
        Assert.Equal((102, 0), (_pool.UsedBlocks, _batch.MissingBlocks));
    }

    [Fact]
    public void Decode_NoBlockButPagesAreComing_WaitsForThem()
    {
        AdmitAll((0, 16 * 100), (1, 16 * 28));

        Assert.False(_batch.Decode(Later, mayPreempt: false));

        Assert.Equal((0L, 2, 2), (_batch.PreemptionCount, _batch.RunningCount, _batch.MissingBlocks));
    }

    [Fact]
    public async Task Preempted_ComesBackFirstAndKeepsItsTokens()
    {
        AdmitAll((0, 16 * 100), (1, (16 * 28) - 1));
        Enqueue(2, context: 16);
        _batch.Decode(Later, mayPreempt: true);
        await _blocks.FlushAsync(CancellationToken.None);

        // It had generated one token within its last block, so it wants 28 blocks again, before request 2.
        Assert.Equal(28 + 1 + 1, _batch.DemandBlocks(Later, Later));
        _batch.Admit(Later, 0, 28);
        Assert.Equal((2, 1, 128), (_batch.RunningCount, _batch.WaitingCount, _pool.UsedBlocks));
    }

    [Fact]
    public async Task StopAll_RetiresEveryBlock()
    {
        AdmitAll((0, 16 * 100), (1, 16 * 20));

        _batch.StopAll();
        await _blocks.FlushAsync(CancellationToken.None);

        Assert.Equal((0, 2, 0), (_batch.RunningCount, _batch.WaitingCount, _pool.UsedBlocks));
        Assert.Equal((120L, 120L), (_blocks.AllocatedCount, _blocks.VerifiedCount));
    }

    private void Enqueue(int number, int context) => _batch.Enqueue(new TraceRequest(number, TimeSpan.Zero, context, 5));

    private void AdmitAll(params (int Number, int Context)[] requests)
    {
        foreach (var (number, context) in requests)
        {
            Enqueue(number, context);
        }

        _batch.Admit(TimeSpan.Zero, 0, 128);
        Assert.Equal(requests.Length, _batch.RunningCount);
    }
}
