using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// Between the page mapper and the data checker of one host: an extent that leaves its pool is let go by the copier first, so that nobody
/// still has memory mapped that is on its way to somebody else.
/// </summary>
internal static class CopierProtocol
{
    /// <summary>Let go of these extents, and never map them again. Reply: <see cref="ExtentsDropped"/>, at the latest after the copier's deadline.</summary>
    public sealed record DropExtents(PoolId Pool, ImmutableArray<Extent> Extents, long Ticket);

    /// <summary>Let go of the whole pool. Reply: <see cref="ExtentsDropped"/>.</summary>
    public sealed record DropPool(PoolId Pool, long Ticket);

    /// <summary>The copier doesn't hold them any more, or is dead.</summary>
    public sealed record ExtentsDropped(PoolId Pool, long Ticket);
}
