using System.Collections.Immutable;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Scheduling;

/// <content>What costs least to give up when the pool is asked to shrink.</content>
public sealed partial class PoolBlocks
{
    /// <summary>
    /// Extents without a used block that make up so many bytes on every rank, or all that there are: first those with nothing in them, longest idle
    /// first; then those that lose the fewest cached blocks for their bytes, the longest unused first. None that turns out not to be needed. Changes nothing.
    /// </summary>
    /// <param name="wantedBytes">Bytes wanted, by rank; 0 or less where none are.</param>
    /// <param name="bytesOf">Bytes of an extent on a rank.</param>
    /// <param name="withCached">Whether cached blocks may be lost for it.</param>
    public ImmutableArray<Extent> FindCheapest(ImmutableArray<long> wantedBytes, Func<Extent, int, long> bytesOf, bool withCached)
    {
        ArgumentNullException.ThrowIfNull(bytesOf);
        var missing = wantedBytes.ToArray();
        var chosen = new List<Extent>();
        foreach (var (extent, _, _) in FindCandidates(extent => bytesOf(extent, 0), withCached).OrderBy(c => c.Cost).ThenBy(c => c.LastUse))
        {
            if (!Array.Exists(missing, bytes => bytes > 0))
            {
                break;
            }

            chosen.Add(extent);
            for (var rank = 0; rank < missing.Length; rank++)
            {
                missing[rank] -= bytesOf(extent, rank);
            }
        }

        for (var i = chosen.Count - 1; i >= 0; i--)
        {
            if (Enumerable.Range(0, missing.Length).All(rank => missing[rank] + bytesOf(chosen[i], rank) <= 0))
            {
                for (var rank = 0; rank < missing.Length; rank++)
                {
                    missing[rank] += bytesOf(chosen[i], rank);
                }

                chosen.RemoveAt(i);
            }
        }

        return [.. chosen];
    }

    private IEnumerable<(Extent Extent, double Cost, TimeSpan LastUse)> FindCandidates(Func<Extent, long> bytesOf, bool withCached)
    {
        foreach (var allocator in _groups)
        {
            foreach (var warm in WarmOf(allocator.Group))
            {
                yield return (warm.Extent, 0, warm.LastUse.Time);
            }

            var evictable = new WarmExtent[withCached && allocator.CachedBlockCount > 0 ? allocator.ExtentCount : 0];
            var count = allocator.CopyEvictable(evictable);
            foreach (var cached in evictable.Take(count).Where(w => !Pins.IsPinned(w.Extent)))
            {
                yield return (cached.Extent, (double)allocator.CountCached(cached.Extent) / Math.Max(1, bytesOf(cached.Extent)), cached.LastUse.Time);
            }
        }
    }
}
