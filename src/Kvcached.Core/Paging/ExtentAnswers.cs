namespace Kvcached.Core.Paging;

/// <summary>Outcome of <see cref="BlockAllocator.TryGiveUp"/>.</summary>
public enum GiveUpResult : byte
{
    /// <summary>The allocator has let go of the extent: none of its blocks can be handed out any more.</summary>
    GivenUp = 0,

    /// <summary>Some block is in use; the extent stays.</summary>
    InUse,

    /// <summary>Some block is cached, and evicting was not asked for; the extent stays.</summary>
    Cached,

    /// <summary>The allocator holds these pages under another generation or as another extent.</summary>
    Stale,

    /// <summary>The allocator holds no extent there.</summary>
    NotHeld,
}

/// <summary>A mapped extent without used or cached blocks: the coordinator may take it back.</summary>
/// <param name="Extent">The extent.</param>
/// <param name="LastUse">When its last block was given up, or when the extent came if none was handed out.</param>
public readonly record struct WarmExtent(Extent Extent, LastUse LastUse);

/// <summary>What an eviction of whole extents achieved.</summary>
/// <param name="PageCount">Pages whose extents are warm now.</param>
/// <param name="ExtentCount">Extents that are warm now.</param>
/// <param name="BlockCount">Blocks evicted, as many as were written to the caller's span.</param>
public readonly record struct ExtentEviction(int PageCount, int ExtentCount, int BlockCount);
