using CsCheck;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Tests.Geometry;

public sealed class PageSlotsTests
{
    private static readonly Gen<PageSlots> AnySlots = Gen.Select(Gen.Long[1, 400], Gen.Long[1, 400])
        .Select((a, b) => new PageSlots(Math.Max(a, b), Math.Min(a, b)));

    [Fact]
    public void BlocksOfPage_AnySizes_AreExactlyThoseWhollyInside() =>
        Gen.Select(AnySlots, Gen.Int[0, 50]).Sample((slots, page) =>
        {
            var expected = Enumerable.Range(0, (int)((page + 1) * slots.PageBytes / slots.BlockBytes) + 1)
                .Where(block => block * slots.BlockBytes >= page * slots.PageBytes && (block + 1) * slots.BlockBytes <= (page + 1) * slots.PageBytes)
                .ToArray();
            var id = new PageId(page);
            Assert.Equal(expected.Length, slots.BlockCountOf(id));
            Assert.Equal(expected, Enumerable.Range(slots.FirstBlockOf(id), slots.BlockCountOf(id)));
            Assert.All(expected, block => Assert.True(slots.IsUsable(new BlockId(block)) && slots.PageOf(new BlockId(block)) == id));
        });

    [Fact]
    public void UsableBlocksBefore_AnySizes_IsTheSumOverPages() =>
        Gen.Select(AnySlots, Gen.Int[0, 60]).Sample((slots, pageCount) =>
        {
            var counts = Enumerable.Range(0, pageCount).Select(page => slots.BlockCountOf(new PageId(page))).ToArray();
            Assert.Equal(counts.Sum(), slots.UsableBlocksBefore(pageCount));
            Assert.All(counts, count => Assert.True(count >= slots.LeastBlocksPerPage));
        });

    [Fact]
    public void LeastBlocksPerPage_AllPagesOfACycle_IsReached() =>
        AnySlots.Sample(slots => slots.LeastBlocksPerPage
            == Enumerable.Range(0, (int)slots.BlockBytes).Min(page => slots.BlockCountOf(new PageId(page))));

    [Theory]
    [InlineData(0, 0)]
    [InlineData(100, 0)]
    [InlineData(100, -5)]
    [InlineData(100, 101)]
    public void LeastBlocksPerPage_SizesWithoutSense_Zero(long pageBytes, long blockBytes) =>
        Assert.Equal(0, new PageSlots(pageBytes, blockBytes).LeastBlocksPerPage);

    [Fact]
    public void WastedBytesPerPage_DeepSeekBlock_IsWhatStraddles()
    {
        // 28.4 blocks of 64 tokens fit a page; over 9 pages 256 fit exactly, and 8 of them lie across two pages.
        var slots = new PageSlots(2 << 20, 64 * 576 * 2);
        Assert.Equal((2 << 20) - (248.0 * slots.BlockBytes / 9), slots.WastedBytesPerPage(9));
        Assert.Equal(0, new PageSlots(2 << 20, 32 << 10).WastedBytesPerPage(1000));
    }
}
