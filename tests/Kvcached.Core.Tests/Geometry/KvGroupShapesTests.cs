using CsCheck;
using Kvcached.Core.Geometry;
using Kvcached.Core.Units;

namespace Kvcached.Core.Tests.Geometry;

public sealed class KvGroupShapesTests
{
    private const long Page = 2 * ByteSize.MiB;

    [Fact]
    public void MultiHead_Fp8WithScales_KeepsScalesInTheBlock()
    {
        var plain = KvGroupShapes.MultiHead("full", 32, 8, 128, 16, 1, Page);
        var scaled = KvGroupShapes.MultiHead("full", 32, 8, 128, 16, 1, Page, scaleBytesPerTokenAndHead: 4);
        Assert.Equal(16 * 8 * 128, plain.BlockBytes);
        Assert.Equal(16 * 8 * (128 + 4), scaled.BlockBytes);
        Assert.Equal(2, scaled.BufferCount);
    }

    [Theory]
    [InlineData(8, 1, 8)]
    [InlineData(8, 8, 1)]
    [InlineData(8, 16, 1)]
    [InlineData(2, 8, 1)]
    [InlineData(16, 4, 4)]
    public void HeadsPerRank_OneDividesTheOther_DividedOrReplicated(int heads, int ranks, int expected) =>
        Assert.Equal(expected, KvGroupShapes.HeadsPerRank(heads, ranks));

    [Theory]
    [InlineData(8, 3)]
    [InlineData(8, 12)]
    [InlineData(6, 4)]
    public void HeadsPerRank_NeitherDivides_Refused(int heads, int ranks)
    {
        Assert.False(KvGroupShapes.CanDivideHeads(heads, ranks));
        Assert.Throws<ArgumentException>(() => KvGroupShapes.HeadsPerRank(heads, ranks));
    }

    [Fact]
    public void MultiHead_TensorParallel_EveryHeadIsOnSomeRank() =>
        Gen.Select(Gen.Int[1, 64], Gen.Int[1, 64]).Where((heads, ranks) => KvGroupShapes.CanDivideHeads(heads, ranks)).Sample((heads, ranks) =>
        {
            var perRank = KvGroupShapes.MultiHead("g", 1, heads, 64, 16, 2, Page, tensorParallelRanks: ranks).BlockBytes;
            var whole = KvGroupShapes.MultiHead("g", 1, heads, 64, 16, 2, Page).BlockBytes;
            Assert.True(perRank * ranks >= whole);
            Assert.True(perRank * ranks == whole || perRank * heads == whole);
        });

    [Fact]
    public void StateStride_AnySlot_AlignedHoldsItAndDividesThePage() =>
        Gen.Select(Gen.Long[1, 64], Gen.Long[1, 64 << 15]).Sample((pages, slotBytes) =>
        {
            var pageBytes = pages << 15;
            slotBytes = Math.Min(slotBytes, pageBytes);
            var stride = KvGroupShapes.StateStride(slotBytes, pageBytes);
            Assert.True(stride >= slotBytes);
            Assert.Equal(0, stride % KvGroupShapes.StateAlignmentBytes);
            Assert.Equal(0, pageBytes % stride);
            for (var slots = (pageBytes / stride) + 1; slots * slotBytes <= pageBytes; slots++)
            {
                Assert.False(pageBytes % slots == 0 && pageBytes / slots % KvGroupShapes.StateAlignmentBytes == 0, $"{slots} slots would fit too.");
            }
        });

    [Fact]
    public void StatePageBytes_SlotJustAboveHalfAPage_TakesALargerPageThatWastesLess()
    {
        // A state of 1.05 MiB would waste nearly half of a page of 2 MiB.
        var slotBytes = ByteSize.MiB + (48 * ByteSize.KiB);
        Assert.Equal(2 * ByteSize.MiB, KvGroupShapes.StateStride(slotBytes, Page));
        var pageBytes = KvGroupShapes.StatePageBytes(slotBytes, Page);
        Assert.Equal(0, pageBytes % Page);
        Assert.InRange(1 - ((double)slotBytes / KvGroupShapes.StateStride(slotBytes, pageBytes)), 0, 0.1);
    }

    [Fact]
    public void StatePageBytes_SlotAboveManyPages_StillHoldsOne() =>
        Assert.Equal(100 * Page, KvGroupShapes.StatePageBytes((99 * Page) + 1, Page, maxFactor: 4));

    [Fact]
    public void Factories_CountsBelowOne_Throw()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => KvGroupShapes.MultiHead("g", 0, 8, 128, 16, 2, Page));
        Assert.Throws<ArgumentOutOfRangeException>(() => KvGroupShapes.MultiHead("g", 1, 8, 128, 0, 2, Page));
        Assert.Throws<ArgumentOutOfRangeException>(() => KvGroupShapes.MultiHeadLatent("g", 1, 576, 16, 2, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => KvGroupShapes.State("g", 1, Page + 1, Page));
        Assert.Throws<ArgumentException>(() => KvGroupShapes.SlidingWindow(string.Empty, 1, 8, 64, 16, 2, Page));
    }
}
