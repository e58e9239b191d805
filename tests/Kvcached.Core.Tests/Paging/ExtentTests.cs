using CsCheck;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Tests.Paging;

public sealed class ExtentTests
{
    [Theory]
    [InlineData(0, 0, 0, true)]
    [InlineData(0, 8, 3, true)]
    [InlineData(0, 4, 3, false)]
    [InlineData(-1, 0, 0, false)]
    [InlineData(0, -8, 3, false)]
    [InlineData(0, 0, 30, true)]
    [InlineData(0, 1 << 30, 30, false)]
    [InlineData(0, 0, 31, false)]
    [InlineData(0, 0, 255, false)]
    public void IsWellFormed_AlignedAndInRange(int group, int first, byte order, bool expected) =>
        Assert.Equal(expected, new Extent(group, new PageId(first), order, 1).IsWellFormed);

    [Theory]
    [InlineData(16, 1L << 30, 1L << 20, 6)]
    [InlineData(16, 40L << 30, 64L << 20, 5)]
    [InlineData(1, 1L << 30, 1L << 20, 10)]
    [InlineData(16, 1L << 20, 1L << 20, 0)]
    [InlineData(16, 0, 1L << 20, 0)]
    [InlineData(1, long.MaxValue, 1, 30)]
    public void LargestOrder_StaysWithinTheShare(int divisor, long limitBytes, long bytesPerPageId, byte expected) =>
        Assert.Equal(expected, ExtentCap.LargestOrder(limitBytes, bytesPerPageId, divisor));

    [Fact]
    public void LargestOrder_AnyPool_LargestThatFits() =>
        Gen.Select(Gen.Long[0, 1L << 45], Gen.Long[1, 1L << 32], Gen.Int[1, 64]).Sample((limit, perPage, divisor) =>
        {
            var order = ExtentCap.LargestOrder(limit, perPage, divisor);
            Assert.True(order == 0 || perPage << order <= limit / divisor);
            Assert.True(order == Extent.MaxOrder || (Int128)perPage << (order + 1) > limit / divisor);
        });

    [Fact]
    public void GenerationCounter_Exhausted_SaysSo()
    {
        var counter = new GenerationCounter();
        Assert.Equal(1u, counter.Next());
        counter.RaiseTo(uint.MaxValue - 1);
        counter.RaiseTo(5);
        Assert.Equal(uint.MaxValue, counter.Next());
        Assert.Equal(0u, counter.Remaining);
        Assert.Throws<InvalidOperationException>(() => counter.Next());
    }
}
