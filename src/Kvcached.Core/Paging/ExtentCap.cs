using System.Numerics;

namespace Kvcached.Core.Paging;

/// <summary>
/// How large an extent may be: one long-lived block pins its whole extent, so an extent is at most a share of what its pool may
/// hold.
/// </summary>
public static class ExtentCap
{
    /// <summary>Default: an extent takes at most 1/16 of the pool's limit.</summary>
    public const int DefaultShareDivisor = 16;

    /// <summary>The largest order whose extents stay within the share; 0 when even one page is above it.</summary>
    /// <param name="poolLimitBytes">What the pool may hold on a rank, in bytes.</param>
    /// <param name="bytesPerPageId">Bytes that one page id takes on that rank, over all layers and buffers; at least 1.</param>
    /// <param name="shareDivisor">An extent takes at most the limit divided by this; at least 1.</param>
    public static byte LargestOrder(long poolLimitBytes, long bytesPerPageId, int shareDivisor = DefaultShareDivisor)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytesPerPageId, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(shareDivisor, 1);
        var pages = poolLimitBytes / shareDivisor / bytesPerPageId;
        return pages < 1 ? (byte)0 : (byte)Math.Min(Extent.MaxOrder, BitOperations.Log2((ulong)pages));
    }
}
