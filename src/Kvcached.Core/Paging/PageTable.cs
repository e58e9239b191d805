using System.Collections.Immutable;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>
/// The extents that one pool has mapped, over all its KV groups, with the digest of them. Quarantined extents are not in it: they
/// are logically unmapped. Not thread-safe.
/// </summary>
public sealed class PageTable
{
    private readonly ImmutableArray<int> _virtualPageCounts;
    private readonly ExtentMap[] _groups;

    /// <summary>An empty table.</summary>
    /// <param name="virtualPageCounts">Page ids of each KV group, from 1.</param>
    public PageTable(ImmutableArray<int> virtualPageCounts)
    {
        _virtualPageCounts = virtualPageCounts;
        _groups = [.. virtualPageCounts.Select((pageCount, group) => new ExtentMap(group, pageCount))];
    }

    /// <summary>Digest of the extents in the table.</summary>
    public LayoutDigest Digest { get; private set; }

    public int GroupCount => _groups.Length;

    public int ExtentCount => _groups.Sum(group => group.Count);

    /// <summary>Mapped page ids of one KV group.</summary>
    public int PageCountOf(int group) => _groups[group].PageCount;

    /// <summary>True when this very grant is mapped.</summary>
    public bool Contains(in Extent extent) => (uint)extent.Group < (uint)_groups.Length && _groups[extent.Group].Contains(extent);

    /// <summary>The extent in which a page lies, or false when the page is not mapped or doesn't exist.</summary>
    public bool TryFind(int group, PageId page, out Extent extent)
    {
        if ((uint)group < (uint)_groups.Length)
        {
            return _groups[group].TryFind(page, out extent);
        }

        extent = default;
        return false;
    }

    /// <summary>Enters an extent. Refused as malformed, foreign (no such KV group) or overlapping.</summary>
    public ExtentFault Add(in Extent extent)
    {
        var fault = FindMisplacement(extent);
        if (fault == ExtentFault.None && _groups[extent.Group].OverlapsAny(extent))
        {
            fault = ExtentFault.Overlaps;
        }

        if (fault == ExtentFault.None)
        {
            _groups[extent.Group].Add(extent);
            Digest = Digest.With(extent);
        }

        return fault;
    }

    /// <summary>Takes an extent out. Refused as malformed, foreign, stale (its pages are mapped by another grant) or not held.</summary>
    public ExtentFault Remove(in Extent extent)
    {
        if (FindMisplacement(extent) is var misplaced and not ExtentFault.None)
        {
            return misplaced;
        }

        var group = _groups[extent.Group];
        if (!group.Contains(extent))
        {
            return group.OverlapsAny(extent) ? ExtentFault.Stale : ExtentFault.NotHeld;
        }

        group.Remove(extent);
        Digest = Digest.Without(extent);
        return ExtentFault.None;
    }

    /// <summary>Replaces all content, as a snapshot does. On a fault the table is as it was.</summary>
    public ExtentsFault Install(ReadOnlySpan<Extent> extents)
    {
        var before = Enumerate().ToArray();
        Clear();
        for (var i = 0; i < extents.Length; i++)
        {
            if (Add(extents[i]) is var fault and not ExtentFault.None)
            {
                Clear();
                foreach (var extent in before)
                {
                    Add(extent);
                }

                return new ExtentsFault(fault, i);
            }
        }

        return ExtentsFault.None;
    }

    public void Clear()
    {
        foreach (var group in _groups)
        {
            group.Clear();
        }

        Digest = LayoutDigest.Empty;
    }

    /// <summary>All extents, by KV group and ascending page. The table must not change meanwhile.</summary>
    public IEnumerable<Extent> Enumerate() => _groups.SelectMany(group => group.Enumerate());

    private ExtentFault FindMisplacement(in Extent extent)
    {
        if ((uint)extent.Group >= (uint)_groups.Length)
        {
            return ExtentFault.Foreign;
        }

        return extent.IsWellFormed && extent.EndPage <= _virtualPageCounts[extent.Group] ? ExtentFault.None : ExtentFault.Malformed;
    }
}
