using System.Collections.Immutable;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Scheduling;

/// <content>Which extents are this pool's, asked by a coordinator that can't know what an earlier one has answered.</content>
public sealed partial class PoolBlocks
{
    /// <summary>Given up, and their return isn't answered yet: they may come back by <see cref="Add"/>.</summary>
    private readonly HashSet<Extent> _leaving = [];

    /// <summary>The return of these was answered, and they don't come back: whoever still has them mapped may unmap them.</summary>
    public void Returned(ImmutableArray<Extent> extents) => _leaving.ExceptWith(extents);

    /// <summary>Those of the extents that this pool neither holds, in that generation, nor is giving back.</summary>
    public ImmutableArray<Extent> FindForeign(ImmutableArray<Extent> extents) => [.. extents.Where(e => !IsHeld(e) && !_leaving.Contains(e))];

    /// <summary>Sorts extents into those that this pool holds and those that it never will. What isn't decided yet is in neither.</summary>
    /// <param name="extents">The extents, each with the request that it was granted to.</param>
    /// <param name="isWaiting">Whether that request still waits for its answer, which may bring the extent.</param>
    public (ImmutableArray<Extent> Held, ImmutableArray<Extent> Unknown) Check(ImmutableArray<GrantedExtent> extents, Func<RequestId, bool> isWaiting)
    {
        ArgumentNullException.ThrowIfNull(isWaiting);
        var held = ImmutableArray.CreateBuilder<Extent>();
        var unknown = ImmutableArray.CreateBuilder<Extent>();
        foreach (var (extent, request) in extents)
        {
            if (IsHeld(extent))
            {
                held.Add(extent);
            }
            else if (!_leaving.Contains(extent) && !isWaiting(request))
            {
                unknown.Add(extent);
            }
        }

        return (held.ToImmutable(), unknown.ToImmutable());
    }

    private bool IsHeld(in Extent extent) => IsGroup(extent.Group) && _groups[extent.Group].Holds(extent);
}
