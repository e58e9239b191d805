namespace Kvcached.Core.Paging;

/// <summary>What was wrong with a block.</summary>
public enum BlockFaultKind : byte
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>No such block: out of range, across two pages, or in a page that was never held.</summary>
    Foreign,

    /// <summary>Its extent was held, and has been given up.</summary>
    Stale,

    /// <summary>It is not in use: it was freed or cached before, or is named twice.</summary>
    DoubleFree,

    /// <summary>It is in use or free, where a cached block is needed, or is named twice.</summary>
    NotCached,

    /// <summary>It is in use or cached, where a free block is needed.</summary>
    NotFree,

    /// <summary>It has no tag, so nobody could find it again in the cache.</summary>
    NotTagged,

    /// <summary>The tag is empty or longer than <see cref="BlockAllocator.MaxTagBytes"/>.</summary>
    BadTag,
}

/// <summary>Outcome of an operation on blocks that happens for all of them or for none.</summary>
/// <param name="Kind">What was wrong; <see cref="BlockFaultKind.None"/> when the operation was done.</param>
/// <param name="Index">Position of the first offender in what was passed; -1 when there was none.</param>
public readonly record struct BlockFault(BlockFaultKind Kind, int Index)
{
    /// <summary>The operation was done.</summary>
    public static BlockFault None => new(BlockFaultKind.None, -1);

    public bool IsNone => Kind == BlockFaultKind.None;
}
