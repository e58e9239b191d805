using Kvcached.TraceReplay.Reporting;

namespace Kvcached.TraceReplay.Tests.Reporting;

public sealed class PercentileTests
{
    [Theory]
    [InlineData(50, 3)]
    [InlineData(20, 1)]
    [InlineData(21, 2)]
    [InlineData(99, 5)]
    [InlineData(100, 5)]
    public void Of_FiveValues_IsTheNearestRank(double percent, double expected) =>
        Assert.Equal(expected, Percentile.Of([5, 1, 4, 2, 3], percent));

    [Fact]
    public void Of_Nothing_IsZero() => Assert.Equal(0, Percentile.Of([], 99));

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(101)]
    public void Of_PercentOutOfRange_Throws(double percent) => Assert.Throws<ArgumentOutOfRangeException>(() => Percentile.Of([1], percent));
}
