using Kvcached.Core.Ids;

namespace Kvcached.Core.Geometry;

/// <summary>
/// Which blocks lie in which page. Block ids are affine in the address, so a block size that doesn't divide the page leaves some
/// ids that straddle two pages: those are never used, and what they waste is stated.
/// </summary>
/// <param name="PageBytes">Bytes of a page in one buffer of one layer.</param>
/// <param name="BlockBytes">Bytes of a block there; at most a page.</param>
public readonly record struct PageSlots(long PageBytes, long BlockBytes)
{
    /// <summary>First block id that lies wholly in the page.</summary>
    public int FirstBlockOf(PageId page) => checked((int)((((long)page.Value * PageBytes) + BlockBytes - 1) / BlockBytes));

    /// <summary>First block id past those that lie wholly in the page.</summary>
    public int EndBlockOf(PageId page) => checked((int)(((long)page.Value + 1) * PageBytes / BlockBytes));

    /// <summary>Blocks that lie wholly in the page: equal for all pages when the block divides the page, else off by at most one.</summary>
    public int BlockCountOf(PageId page) => Math.Max(0, EndBlockOf(page) - FirstBlockOf(page));

    /// <summary>The page in which the block starts.</summary>
    public PageId PageOf(BlockId block) => new(checked((int)((long)block.Value * BlockBytes / PageBytes)));

    /// <summary>True when the block lies wholly in one page, so that it may be handed out.</summary>
    public bool IsUsable(BlockId block)
    {
        var start = (long)block.Value * BlockBytes;
        return block.Value >= 0 && start / PageBytes == (start + BlockBytes - 1) / PageBytes;
    }

    /// <summary>
    /// Whole blocks in the page that has the fewest. 0 when a block larger than half a page leaves some pages without any, or the
    /// sizes make no sense.
    /// </summary>
    public long LeastBlocksPerPage
    {
        get
        {
            if (PageBytes < 1 || BlockBytes < 1 || BlockBytes > PageBytes)
            {
                return 0;
            }

            // A page starts at most this far before the next block does.
            var shift = PageBytes % BlockBytes == 0 ? 0 : BlockBytes - GreatestCommonDivisor;
            return (PageBytes - shift) / BlockBytes;
        }
    }

    /// <summary>Usable blocks in the pages below <paramref name="pageCount"/>.</summary>
    public int UsableBlocksBefore(int pageCount)
    {
        if (pageCount < 1)
        {
            return 0;
        }

        // Each page boundary inside the range cuts one block, except where a block starts just there.
        var cleanBoundaryEvery = BlockBytes / GreatestCommonDivisor;
        var innerBoundaries = pageCount - 1L;
        var whole = checked(pageCount * PageBytes) / BlockBytes;
        return checked((int)(whole - innerBoundaries + (innerBoundaries / cleanBoundaryEvery)));
    }

    /// <summary>Bytes per page, on average over <paramref name="pageCount"/> pages, that no usable block covers.</summary>
    public double WastedBytesPerPage(int pageCount) =>
        PageBytes - ((double)UsableBlocksBefore(pageCount) * BlockBytes / pageCount);

    private long GreatestCommonDivisor
    {
        get
        {
            var (a, b) = (PageBytes, BlockBytes);
            while (b != 0)
            {
                (a, b) = (b, a % b);
            }

            return a;
        }
    }
}
