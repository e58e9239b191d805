using System.Numerics;
using Kvcached.TraceReplay.Engine;

namespace Kvcached.TraceReplay.Tests.Engine;

public sealed class GrowthPlannerTests
{
    private readonly GrowthPlanner _planner = new(blocksPerPage: 128);

    [Theory]
    [InlineData(16, 0, 0)]
    [InlineData(0, 0, 1)]
    [InlineData(0, 128, 2)]
    [InlineData(0, 300, 2)]
    [InlineData(0, 800, 4)]
    [InlineData(0, 1000, 8)]
    [InlineData(500, 400, 0)]
    [InlineData(0, 1_000_000, GrowthPlanner.MaxRequestPages)]
    public void PagesToRequest_AtRest_IsAPowerOfTwoWithinTheNeed(long free, long demand, int pages)
    {
        Assert.Equal(pages, _planner.PagesToRequest(free, demand));
        Assert.True(pages == 0 || BitOperations.IsPow2(pages));
    }

    [Fact]
    public void Watermark_FollowsTheMeasuredRate()
    {
        var atRest = _planner.WatermarkBlocks;
        for (var second = 1; second <= 20; second++)
        {
            _planner.Observe(TimeSpan.FromSeconds(second), second * 4000L);
        }

        Assert.Equal(16, atRest);
        Assert.InRange(_planner.BlocksPerSecond, 3990, 4000);
        Assert.InRange(_planner.WatermarkBlocks, 395, 400);
        Assert.Equal(4, _planner.WarmPagesToKeep);
        Assert.Equal(4, _planner.PagesToRequest(freeBlocks: 0, demandBlocks: 0));
        Assert.Equal(1, _planner.PagesToRequest(freeBlocks: 380, demandBlocks: 0));
    }

    [Fact]
    public void Watermark_AfterTheRush_FallsBack()
    {
        _planner.Observe(TimeSpan.FromSeconds(1), 100_000);
        _planner.Observe(TimeSpan.FromSeconds(60), 100_000);

        Assert.Equal(16, _planner.WatermarkBlocks);
    }

    [Fact]
    public void Observe_TwiceAtOneMoment_ChangesNothing()
    {
        _planner.Observe(TimeSpan.FromSeconds(1), 100);
        var rate = _planner.BlocksPerSecond;
        _planner.Observe(TimeSpan.FromSeconds(1), 500);

        Assert.Equal(rate, _planner.BlocksPerSecond);
    }
}
