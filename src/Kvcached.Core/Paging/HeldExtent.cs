namespace Kvcached.Core.Paging;

/// <summary>
/// The blocks of one extent in a block allocator: as much as allocating and freeing ask for, so that it fits one line of the processor's
/// cache. No block below <see cref="LowestFree"/>, which may lie beyond the extent, is free.
/// </summary>
internal struct HeldExtent
{
    public int FirstBlock;
    public int EndBlock;
    public int LowestFree;
    public int BlockCount;

    /// <summary>2^32 × lists / blocks: turns occupancy into a list without dividing.</summary>
    public ulong BucketScale;
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
