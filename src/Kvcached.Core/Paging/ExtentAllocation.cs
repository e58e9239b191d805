using System.Collections.Immutable;

namespace Kvcached.Core.Paging;

/// <summary>Why no extents were allocated.</summary>
public enum ExtentRefusal : byte
{
    /// <summary>They were.</summary>
    None = 0,

    /// <summary>The page count is below 1 or no multiple of the smallest extent, or the orders contradict each other.</summary>
    BadRequest,

    /// <summary>Fewer page ids are free than were asked for.</summary>
    NotEnoughPages,

    /// <summary>Enough page ids are free, but not in extents of the smallest order that was asked for.</summary>
    Fragmented,

    /// <summary>The pool has no generations left and must be reset.</summary>
    GenerationsExhausted,
}

/// <summary>Extents for one request, or why there are none.</summary>
/// <param name="Refusal">Why not; <see cref="ExtentRefusal.None"/> when <paramref name="Extents"/> holds the pages asked for.</param>
/// <param name="Extents">The extents, largest first; empty when refused.</param>
/// <param name="FreePageCount">Page ids that are free after the call.</param>
/// <param name="LargestFreeOrder">Order of the largest free extent after the call; -1 when nothing is free.</param>
public readonly record struct ExtentAllocation(
    ExtentRefusal Refusal,
    ImmutableArray<Extent> Extents,
    int FreePageCount,
    int LargestFreeOrder)
{
    public bool IsGranted => Refusal == ExtentRefusal.None;
}
