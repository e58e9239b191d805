using CsCheck;
using Kvcached.Core.Scheduling;

namespace Kvcached.Core.Tests.Scheduling;

public sealed class GrowthPlannerTests
{
    private static readonly GrowthSettings s_settings = new(TimeSpan.FromMilliseconds(500), 0, 64, 8, 1000);

    private readonly GrowthPlanner _planner = new(s_settings);

    [Fact]
    public void PagesToRequest_GroupNeverUsed_AsksForNothing()
    {
        _planner.Observe(At(0), 0);
        _planner.Observe(At(100), 0);
        Assert.Equal(0, _planner.PagesToRequest(At(100), new GrowthState(0, 0, 0, 0)));
    }

    [Fact]
    public void PagesToRequest_SteadyGrowth_CoversItForTheHorizon()
    {
        // 160 blocks a second: half a second takes 80, of which 16 are free and 8 are coming.
        Grow(fromMs: 0, toMs: 500, blocksPerMs: 0.16);
        Assert.Equal(160, _planner.BlocksPerSecond, 20.0);
        var pages = _planner.PagesToRequest(At(500), new GrowthState(80, 16, 12, 1));
        Assert.InRange(pages, 6, 9);
    }

    [Fact]
    public void BlocksPerSecond_GrowthThatStopped_IsForgottenAfterAWhile()
    {
        Grow(fromMs: 0, toMs: 500, blocksPerMs: 0.5);
        Grow(fromMs: 520, toMs: 2000, blocksPerMs: 0, start: 250);
        Assert.Equal(0, _planner.BlocksPerSecond);
        Assert.Equal(0, _planner.PagesToRequest(At(2000), new GrowthState(250, 0, 32, 0)));
    }

    [Fact]
    public void PagesToRequest_AllocationFailed_CoversItUntilItIsOld()
    {
        _planner.Missed(At(0), 20);
        Assert.Equal(3, _planner.PagesToRequest(At(10), new GrowthState(0, 0, 0, 0)));
        Assert.Equal(0, _planner.PagesToRequest(At(10), new GrowthState(0, 0, 0, 3)));
        Assert.Equal(0, _planner.PagesToRequest(At(1000), new GrowthState(0, 0, 0, 0)));
    }

    [Fact]
    public void Refused_SeveralTimes_PausesLongerEachTimeUntilPagesCome()
    {
        _planner.Missed(At(0), 8);
        _planner.Refused(At(0));
        Assert.Equal(0, _planner.PagesToRequest(At(99), default));
        Assert.Equal(1, _planner.PagesToRequest(At(100), default));
        _planner.Refused(At(100));
        Assert.Equal(0, _planner.PagesToRequest(At(299), default));
        Assert.Equal(1, _planner.PagesToRequest(At(300), default));
        _planner.Granted();
        _planner.Missed(At(300), 8);
        _planner.Refused(At(300));
        Assert.Equal(1, _planner.PagesToRequest(At(400), default));
    }

    [Fact]
    public void PagesToRequest_Anything_StaysWithinVirtualRoomAndOneRequest() =>
        Gen.Select(Gen.Long[0, 1 << 20], Gen.Long[0, 1 << 20], Gen.Int[0, 1100], Gen.Int[0, 1100]).Sample((missed, free, held, coming) =>
        {
            var planner = new GrowthPlanner(s_settings);
            planner.Missed(At(0), missed);
            var pages = planner.PagesToRequest(At(1), new GrowthState(0, free, held, coming));
            Assert.InRange(pages, 0, Math.Max(0, Math.Min(64, 1000 - held - coming)));
            Assert.True(pages == 0 || missed > free + (coming * 8L));
        });

    private static TimeSpan At(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    private void Grow(int fromMs, int toMs, double blocksPerMs, long start = 0)
    {
        for (var ms = fromMs; ms <= toMs; ms += 20)
        {
            _planner.Observe(At(ms), start + (long)((ms - fromMs) * blocksPerMs));
        }
    }
}
