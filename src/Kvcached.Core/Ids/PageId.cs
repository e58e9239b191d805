namespace Kvcached.Core.Ids;

/// <summary>
/// Index of a page in one KV group of a pool's virtual space: the same on every rank, layer and buffer. From 0.
/// </summary>
public readonly record struct PageId(int Value) : IComparable<PageId>
{
    public int CompareTo(PageId other) => Value.CompareTo(other.Value);

    public static bool operator <(PageId left, PageId right) => left.Value < right.Value;

    public static bool operator >(PageId left, PageId right) => left.Value > right.Value;

    public static bool operator <=(PageId left, PageId right) => left.Value <= right.Value;

    public static bool operator >=(PageId left, PageId right) => left.Value >= right.Value;

    public override string ToString() => $"page-{Value}";
}
