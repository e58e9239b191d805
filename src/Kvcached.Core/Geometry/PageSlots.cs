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

    /// <summary>Bytes per page, on average over <paramref name="pageCount"/> pages, that no usable block covers.</summary>
    public double WastedBytesPerPage(int pageCount)
    {
        long blocks = 0;
        for (var page = 0; page < pageCount; page++)
        {
            blocks += BlockCountOf(new PageId(page));
        }

        return PageBytes - ((double)blocks * BlockBytes / pageCount);
    }
}
