using CsCheck;
using Kvcached.Core.Units;

namespace Kvcached.Core.Tests.Units;

public sealed class ByteSizeTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("2097152", 2 * ByteSize.MiB)]
    [InlineData("2MiB", 2 * ByteSize.MiB)]
    [InlineData(" 1.5 GiB ", 3 * ByteSize.GiB / 2)]
    [InlineData("40G", 40 * ByteSize.GiB)]
    [InlineData("1kB", 1000)]
    [InlineData("1TB", 1_000_000_000_000)]
    [InlineData("12B", 12)]
    public void TryParse_WellFormed_Read(string text, long expected)
    {
        Assert.True(ByteSize.TryParse(text, out var bytes));
        Assert.Equal(expected, bytes);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("MiB")]
    [InlineData("-1MiB")]
    [InlineData("1.5")]
    [InlineData("1,5GiB")]
    [InlineData("9223372036854775808")]
    [InlineData("99999999TiB")]
    [InlineData("2 Mib")]
    public void TryParse_Malformed_Refused(string? text)
    {
        Assert.False(ByteSize.TryParse(text, out var bytes));
        Assert.Equal(0, bytes);
    }

    [Fact]
    public void Format_ReadBack_WithinHalfPercent() =>
        Gen.Long[0, long.MaxValue].Sample(bytes =>
            ByteSize.TryParse(ByteSize.Format(bytes), out var back) && Math.Abs((double)back - bytes) <= 0.005 * bytes);
}
