using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>Extents of one KV group that don't overlap, by page. Adding, removing and looking up take O(log n).</summary>
internal sealed class ExtentMap(int group, int virtualPageCount)
{
    private readonly BitIndex _starts = new(virtualPageCount);
    private readonly Dictionary<int, (byte Order, uint Generation)> _extents = [];

    public int Count => _extents.Count;

    public int PageCount { get; private set; }

    /// <summary>True when this very grant is in the map.</summary>
    public bool Contains(in Extent extent) =>
        extent.Group == group
        && _extents.TryGetValue(extent.First.Value, out var held)
        && held.Order == extent.Order
        && held.Generation == extent.Generation;

    /// <summary>The extent in which the page lies.</summary>
    public bool TryFind(PageId page, out Extent extent)
    {
        var start = page.Value < 0 ? -1 : _starts.PreviousFrom(page.Value);
        if (start >= 0)
        {
            extent = At(start);
            return page.Value < extent.EndPage;
        }

        extent = default;
        return false;
    }

    /// <summary>True when some page of a well-formed extent lies in an extent of the map.</summary>
    public bool OverlapsAny(in Extent extent)
    {
        if (TryFind(extent.First, out _))
        {
            return true;
        }

        var next = _starts.NextFrom(extent.First.Value);
        return next >= 0 && next < extent.EndPage;
    }

    /// <summary>Adds an extent that is known to overlap none.</summary>
    public void Add(in Extent extent)
    {
        _extents.Add(extent.First.Value, (extent.Order, extent.Generation));
        _starts.Add(extent.First.Value);
        PageCount += extent.PageCount;
    }

    /// <summary>Removes an extent that is known to be in the map.</summary>
    public void Remove(in Extent extent)
    {
        _extents.Remove(extent.First.Value);
        _starts.Remove(extent.First.Value);
        PageCount -= extent.PageCount;
    }

    public void Clear()
    {
        _extents.Clear();
        _starts.Clear();
        PageCount = 0;
    }

    /// <summary>All extents by ascending page.</summary>
    public IEnumerable<Extent> Enumerate()
    {
        for (var start = _starts.NextFrom(0); start >= 0; start = _starts.NextFrom(start + 1))
        {
            yield return At(start);
        }
    }

    private Extent At(int start)
    {
        var (order, generation) = _extents[start];
        return new Extent(group, new PageId(start), order, generation);
    }
}
