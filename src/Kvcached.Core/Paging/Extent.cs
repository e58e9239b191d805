using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>
/// 2^<paramref name="Order"/> consecutive page ids, aligned to their number, that are backed, mapped, unmapped and freed as one.
/// </summary>
/// <param name="Group">Index of the KV group whose page-id space this is, from 0.</param>
/// <param name="First">First page id; a multiple of the page count.</param>
/// <param name="Order">Binary logarithm of the page count, 0 to 30.</param>
/// <param name="Generation">
/// Number of this grant in its pool, from 1: two grants of the same page ids differ in it, so that a late free, revoke or
/// mapping can't hit the wrong one.
/// </param>
public readonly record struct Extent(int Group, PageId First, byte Order, uint Generation)
{
    /// <summary>Largest order that fits a page id.</summary>
    public const byte MaxOrder = 30;

    /// <summary>Pages in this extent.</summary>
    public int PageCount => 1 << Order;

    /// <summary>First page id past this extent.</summary>
    public int EndPage => First.Value + PageCount;

    /// <summary>True when the order is in range and the first page id is a non-negative multiple of the page count.</summary>
    public bool IsWellFormed => Group >= 0 && Order <= MaxOrder && First.Value >= 0 && (First.Value & (PageCount - 1)) == 0 && EndPage > 0;

    public bool Overlaps(in Extent other) => Group == other.Group && First.Value < other.EndPage && other.First.Value < EndPage;

    public override string ToString() => $"extent {Group}:{First.Value}+{PageCount}#{Generation}";
}
