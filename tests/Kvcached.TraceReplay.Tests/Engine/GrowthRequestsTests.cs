using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Tests.Fakes;

namespace Kvcached.TraceReplay.Tests.Engine;

public sealed class GrowthRequestsTests
{
    private readonly VirtualTime _time = new();
    private readonly FakeMemory _memory = new(0);
    private readonly FakePool _pool;
    private readonly GrowthRequests _growth;

    public GrowthRequestsTests()
    {
        _pool = new FakePool(_memory, _time) { GrowthLatency = TimeSpan.Zero };
        _growth = new GrowthRequests(_pool);
    }

    [Fact]
    public void Ask_WhileOneIsInFlight_IsIgnored()
    {
        _growth.Ask(1, _time.Now, CancellationToken.None);
        _growth.Ask(4, _time.Now, CancellationToken.None);

        Assert.Equal(1, Assert.Single(_pool.Growths).Pages);
        Assert.True(_growth.IsInFlight);
    }

    [Fact]
    public async Task Refusals_DoubleThePauseUpToASecond()
    {
        for (var tick = 0; tick < 6_000; tick++)
        {
            await PollAsync();
            _growth.Ask(1, _time.Now, CancellationToken.None);
            _time.Advance(TimeSpan.FromMilliseconds(1));
        }

        double[] pauses = [.. _pool.Growths.Zip(_pool.Growths.Skip(1), (a, b) => (b.At - a.At).TotalMilliseconds)];
        Assert.Equal([51, 101, 201, 401, 801, 1001, 1001, 1001], pauses.Take(8));
    }

    [Fact]
    public async Task Grant_EndsThePause()
    {
        _growth.Ask(1, _time.Now, CancellationToken.None);
        await PollAsync();
        Assert.True(_growth.IsPausing(_time.Now));

        _memory.Return(1);
        _time.Advance(GrowthRequests.FirstPause);
        Assert.False(_growth.IsPausing(_time.Now));
        _growth.Ask(1, _time.Now, CancellationToken.None);
        await PollAsync();

        Assert.Null(_growth.LastRefusal);
        Assert.Equal(1, _pool.MappedPages);
    }

    private Task PollAsync()
    {
        _ = _pool.GetStats();
        return _growth.PollAsync(_time.Now);
    }
}
