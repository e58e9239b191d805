using Kvcached.Core.Sharing;

namespace Kvcached.Core.Tests.Sharing;

public class MemoryAmountTests
{
    [Theory]
    [InlineData("20GiB", MemoryUnit.Bytes, 20L << 30)]
    [InlineData("2g", MemoryUnit.Bytes, 2L << 30)]
    [InlineData("0", MemoryUnit.Bytes, 0)]
    [InlineData(" 37.5 % ", MemoryUnit.BasisPoints, 3750)]
    [InlineData("100%", MemoryUnit.BasisPoints, 10_000)]
    [InlineData("0.005%", MemoryUnit.BasisPoints, 1)]
    [InlineData("Default", MemoryUnit.AsOpened, 0)]
    [InlineData("100.1%", MemoryUnit.None, 0)]
    [InlineData("-1%", MemoryUnit.None, 0)]
    [InlineData("-1", MemoryUnit.None, 0)]
    [InlineData("", MemoryUnit.None, 0)]
    [InlineData("%", MemoryUnit.None, 0)]
    [InlineData("9999999TiB", MemoryUnit.None, 0)]
    public void TryParse_Text_IsReadOrRefused(string text, MemoryUnit unit, long value)
    {
        Assert.Equal(unit != MemoryUnit.None, MemoryAmount.TryParse(text, out var amount));
        Assert.Equal(new MemoryAmount(unit, value), amount);
        Assert.True(amount.IsSound);
    }

    [Fact]
    public void ToString_AnyAmount_IsReadBackAsItWas()
    {
        foreach (var amount in (MemoryAmount[])[MemoryAmount.OfBytes(0), MemoryAmount.OfBytes(long.MaxValue), MemoryAmount.OfPercent(0.01m), MemoryAmount.OfPercent(100), MemoryAmount.AsOpened])
        {
            Assert.True(MemoryAmount.TryParse(amount.ToString(), out var read), amount.ToString());
            Assert.Equal(amount, read);
        }
    }

    [Fact]
    public void BytesOf_LargeGpu_DoesNotOverflow()
    {
        Assert.Equal(long.MaxValue, MemoryAmount.OfPercent(100).BytesOf(long.MaxValue));
        Assert.Equal(40L << 30, MemoryAmount.OfPercent(50).BytesOf(80L << 30));
        Assert.Equal(7, MemoryAmount.OfBytes(7).BytesOf(3));
        Assert.Equal(0, MemoryAmount.None.BytesOf(80));
    }

    [Fact]
    public void IsSound_ValuesOutOfRange_IsFalse() => Assert.All(
        (MemoryAmount[])[new(MemoryUnit.Bytes, -1), new(MemoryUnit.BasisPoints, 10_001), new(MemoryUnit.BasisPoints, -1), new(MemoryUnit.None, 1), new(MemoryUnit.AsOpened, 1), new((MemoryUnit)9, 0)],
        amount => Assert.False(amount.IsSound));
}
