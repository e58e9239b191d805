using System.Collections.Immutable;

namespace Kvcached.Core.Sharing;

/// <summary>Who is asked to shrink when others need a device's memory and no pool has warm extents to give.</summary>
public static class GiveWayPlan
{
    /// <summary>
    /// Shares out what is missing in proportion to what pools hold above their floors: everyone gives the same part. Shares below are about who has what among
    /// pools; this is about a device that got smaller for all of them. Changes nothing.
    /// </summary>
    /// <param name="missingBytes">What is missing on the GPU.</param>
    /// <param name="candidates">Pools that may be asked; those that the ledger doesn't know are passed over.</param>
    /// <param name="ledger">The GPU's ledger.</param>
    /// <returns>Who is asked for how much, in bytes; together at most what is missing.</returns>
    public static ImmutableArray<ShrinkShare> Choose(long missingBytes, IEnumerable<ShrinkCandidate> candidates, GpuLedger ledger)
    {
        ArgumentNullException.ThrowIfNull(candidates);
        ArgumentNullException.ThrowIfNull(ledger);
        var spare = candidates
            .DistinctBy(candidate => candidate.Pool)
            .Select(candidate => (candidate.Pool, Bytes: ledger.TryFind(candidate.Pool, out var entry)
                ? Math.Max(0, Math.Min(entry.UsedBytes, entry.HeldBytes - entry.FloorBytes) - candidate.LeavingBytes)
                : 0))
            .Where(candidate => candidate.Bytes > 0)
            .OrderByDescending(candidate => candidate.Bytes).ThenBy(candidate => candidate.Pool)
            .ToArray();
        var (missing, left) = (missingBytes, spare.Sum(candidate => candidate.Bytes));
        var shares = ImmutableArray.CreateBuilder<ShrinkShare>(spare.Length);
        foreach (var (pool, bytes) in spare)
        {
            if (missing <= 0)
            {
                break;
            }

            // Rounded up, so that those who come first make up for fractions; of what is still missing and still there.
            var part = (long)Math.Min(bytes, Math.Ceiling(missing * ((double)bytes / left)));
            part = Math.Min(missing, part);
            shares.Add(new ShrinkShare(pool, part));
            missing -= part;
            left -= bytes;
        }

        return shares.ToImmutable();
    }
}
