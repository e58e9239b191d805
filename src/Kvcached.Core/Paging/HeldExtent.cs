namespace Kvcached.Core.Paging;

/// <summary>
/// One extent in a block allocator. Free blocks are those from <see cref="FreshBlock"/> on, never handed out since the extent was
/// last empty, and those in the list of returned ones.
/// </summary>
internal struct HeldExtent
{
    public Extent Extent;
    public int FirstBlock;
    public int EndBlock;
    public int FreshBlock;
    public int ReturnedHead;
    public int BlockCount;
    public int UsedCount;
    public int CachedCount;

    /// <summary>Position among extents by occupancy; -1 = full, in no list.</summary>
    public int Bucket;
    public int Next;
    public int Previous;
    public LastUse LastUse;

    public readonly int FreeCount => BlockCount - UsedCount - CachedCount;

    public readonly bool IsWarm => UsedCount == 0 && CachedCount == 0;
}
