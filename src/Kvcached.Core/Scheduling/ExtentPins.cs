using System.Runtime.InteropServices;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Scheduling;

/// <summary>Extents that must stay mapped because somebody else has their addresses. Not thread-safe.</summary>
public sealed class ExtentPins
{
    private readonly Dictionary<Extent, int> _counts = [];
    private readonly Dictionary<(int Group, int First, int Pages), int> _ranges = [];

    /// <summary>Extents that are pinned.</summary>
    public int Count => _counts.Count;

    public bool IsPinned(in Extent extent) => _counts.Count > 0 && _counts.ContainsKey(extent);

    /// <summary>Pins all extents that a range of pages touches; false, and none pinned, when it has a page that isn't held.</summary>
    public bool TryPin(BlockAllocator blocks, PageId first, int pages)
    {
        var extents = Covering(blocks, first, pages);
        foreach (var extent in extents)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_counts, extent, out _)++;
        }

        if (extents.Count > 0)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_ranges, (blocks.Group, first.Value, pages), out _)++;
        }

        return extents.Count > 0;
    }

    /// <summary>Takes one pin of this very range back; false when there is none.</summary>
    public bool TryUnpin(BlockAllocator blocks, PageId first, int pages)
    {
        if (!Lower(_ranges, (blocks.Group, first.Value, pages)))
        {
            return false;
        }

        // What is pinned can't have left, so it is the same extents as then.
        foreach (var extent in Covering(blocks, first, pages))
        {
            Lower(_counts, extent);
        }

        return true;
    }

    private static bool Lower<TKey>(Dictionary<TKey, int> counts, TKey key)
        where TKey : notnull
    {
        if (!counts.TryGetValue(key, out var count))
        {
            return false;
        }

        if (count == 1)
        {
            counts.Remove(key);
        }
        else
        {
            counts[key] = count - 1;
        }

        return true;
    }

    private static List<Extent> Covering(BlockAllocator blocks, PageId first, int pages)
    {
        var extents = new List<Extent>();
        for (long page = first.Value, end = page + Math.Max(0, pages); page < end;)
        {
            if (page is < 0 or > int.MaxValue || !blocks.TryFindExtent(new PageId((int)page), out var extent))
            {
                return [];
            }

            extents.Add(extent);
            page = extent.EndPage;
        }

        return extents;
    }
}
