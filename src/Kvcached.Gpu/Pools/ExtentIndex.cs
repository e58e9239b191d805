using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Gpu.Pools;

/// <summary>Which page ids of each KV group are taken, by which extent (of generation 1 or above). Guarded by the ledger's lock.</summary>
internal sealed class ExtentIndex
{
    private static readonly Comparer<Extent> ByFirst = Comparer<Extent>.Create((a, b) => a.First.Value.CompareTo(b.First.Value));

    private readonly SortedSet<Extent>[] _groups;

    internal ExtentIndex(int groupCount) => _groups = [.. Enumerable.Range(0, groupCount).Select(_ => new SortedSet<Extent>(ByFirst))];

    /// <summary>Takes the page ids of an extent; false, with who has them, when any is taken.</summary>
    internal bool TryAdd(in Extent extent, out Extent owner)
    {
        if (TryFindLastBefore(extent.Group, extent.EndPage, out owner) && owner.EndPage > extent.First.Value)
        {
            return false;
        }

        _groups[extent.Group].Add(extent);
        return true;
    }

    internal void Remove(in Extent extent) => _groups[extent.Group].Remove(extent);

    /// <summary>The extent that has a page id.</summary>
    internal bool TryFind(int group, PageId page, out Extent owner) =>
        TryFindLastBefore(group, page.Value + 1, out owner) && owner.EndPage > page.Value;

    /// <summary>Extents don't overlap, so the last one that starts before a page is the only one that can reach it.</summary>
    private bool TryFindLastBefore(int group, int endPage, out Extent last)
    {
        last = _groups[group].GetViewBetween(At(group, 0), At(group, endPage - 1)).Max;
        return last.Generation != 0;
    }

    private static Extent At(int group, int page) => new(group, new PageId(page), 0, 0);
}
