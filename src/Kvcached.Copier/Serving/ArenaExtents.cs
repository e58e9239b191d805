using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Memory;

namespace Kvcached.Copier.Serving;

/// <summary>An extent that is mapped, and its memory by mapping unit.</summary>
internal sealed record MappedExtent(Extent Extent, MemoryHandle[] Handles);

/// <summary>The mapped extents of one KV group, ordered by page id; they never overlap.</summary>
internal sealed class ArenaExtents
{
    private readonly List<MappedExtent> _byFirstPage = [];

    public IReadOnlyList<MappedExtent> All => _byFirstPage;

    /// <summary>The extent that a page id lies in.</summary>
    public MappedExtent? Containing(PageId page)
    {
        var index = IndexAfter(page.Value) - 1;
        return index >= 0 && page.Value < _byFirstPage[index].Extent.EndPage ? _byFirstPage[index] : null;
    }

    /// <summary>Any extent that shares a page id with this one.</summary>
    public MappedExtent? Overlapping(in Extent extent)
    {
        var index = IndexAfter(extent.EndPage - 1) - 1;
        return index >= 0 && _byFirstPage[index].Extent.Overlaps(extent) ? _byFirstPage[index] : null;
    }

    public void Add(MappedExtent mapped) => _byFirstPage.Insert(IndexAfter(mapped.Extent.First.Value), mapped);

    public void Remove(MappedExtent mapped) => _byFirstPage.Remove(mapped);

    /// <summary>How many extents start at or before a page.</summary>
    private int IndexAfter(int page)
    {
        var (low, high) = (0, _byFirstPage.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_byFirstPage[middle].Extent.First.Value <= page)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }
}
