using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Scheduling;

/// <summary>Extents that block allocators have let go of.</summary>
/// <param name="Extents">The extents.</param>
/// <param name="Fence">The last engine step that used any of them: they may be unmapped only after it.</param>
public readonly record struct GivenUpExtents(ImmutableArray<Extent> Extents, EngineStep Fence)
{
    public static GivenUpExtents None => new([], EngineStep.None);

    public bool IsEmpty => Extents.IsEmpty;

    /// <summary>The same, one extent at a time: what remains possible when one of them makes the others be refused.</summary>
    public IEnumerable<GivenUpExtents> Singly()
    {
        var fence = Fence;
        return Extents.Select(extent => new GivenUpExtents([extent], fence));
    }

    public int PageCount => Extents.Sum(e => e.PageCount);
}
