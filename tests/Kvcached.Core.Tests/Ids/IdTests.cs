using CsCheck;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Tests.Ids;

public sealed class IdTests
{
    [Fact]
    public void PoolId_DifferentCounterOrSerial_DifferentId()
    {
        Gen.Select(Gen.Long[0, (1L << 39) - 1], Gen.Int[0, (1 << 24) - 1], Gen.Long[0, (1L << 39) - 1], Gen.Int[0, (1 << 24) - 1])
            .Sample((counterA, serialA, counterB, serialB) =>
                (PoolId.Create(counterA, serialA) == PoolId.Create(counterB, serialB)) == (counterA == counterB && serialA == serialB)
                && PoolId.Create(counterA, serialA).Value >= 0);
    }

    [Theory]
    [InlineData(-1, 0)]
    [InlineData(1L << 39, 0)]
    [InlineData(0, -1)]
    [InlineData(0, 1 << 24)]
    public void PoolId_OutOfRange_Throws(long counter, int serial) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => PoolId.Create(counter, serial));

    [Fact]
    public void Epoch_SameCounter_OrderedByNode()
    {
        Assert.True(new Epoch(3, 1) < new Epoch(3, 2));
        Assert.True(new Epoch(3, 9) < new Epoch(4, 1));
        Assert.True(new Epoch(3, 2) >= new Epoch(3, 2));
    }

    [Theory]
    [InlineData("GPU-5f2a", true, false)]
    [InlineData("HOST-0", true, true)]
    [InlineData("", false, false)]
    [InlineData(null, false, false)]
    [InlineData("GPU 0", false, false)]
    [InlineData("GPU/../0", false, false)]
    public void GpuId_TryParse_LettersDigitsAndDashes(string? text, bool isId, bool isHostMemory)
    {
        Assert.Equal(isId, GpuId.TryParse(text, out var id));
        Assert.Equal(isHostMemory, id.IsHostMemory);
        Assert.Equal(isId ? text : string.Empty, id.Value);
    }

    [Fact]
    public void GpuId_TooLong_Refused()
    {
        Assert.True(GpuId.TryParse(new string('a', GpuId.MaxLength), out _));
        Assert.False(GpuId.TryParse(new string('a', GpuId.MaxLength + 1), out _));
        Assert.Throws<FormatException>(() => GpuId.Parse("#"));
    }

    [Fact]
    public void GpuId_HashCode_SameForEqualIdsAndSpreadForOthers()
    {
        // Ids that differ in one place only, wherever it is, and those of hosts without a GPU.
        var texts = Enumerable.Range(0, 40).SelectMany(place => "12345678".Select(c => $"{new string('0', place)}{c}{new string('0', 39 - place)}"))
            .Concat(Enumerable.Range(0, 300).Select(i => $"HOST-{i}")).ToArray();
        Assert.All(texts, text => Assert.Equal(GpuId.Parse(text).GetHashCode(), GpuId.Parse(new string(text.AsSpan())).GetHashCode()));
        Assert.Equal(texts.Length, texts.Select(text => GpuId.Parse(text).GetHashCode()).Distinct().Count());
        Assert.Equal(default(GpuId).GetHashCode(), default(GpuId).GetHashCode());
    }

    [Fact]
    public void HostIncarnation_New_NeverUnknown() =>
        Assert.All(Enumerable.Range(0, 100).Select(_ => HostIncarnation.New()), incarnation => Assert.True(incarnation.Value > 0));
}
