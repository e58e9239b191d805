using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Sharing;

/// <summary>A warm extent that a pool's scheduler reported, as seen from one GPU.</summary>
/// <param name="Pool">The pool that has it.</param>
/// <param name="Extent">The extent.</param>
/// <param name="ByteCount">What it takes on this GPU.</param>
/// <param name="IdleSince">Monotonic time since when it holds no used block.</param>
public readonly record struct WarmReport(PoolId Pool, Extent Extent, long ByteCount, TimeSpan IdleSince);

/// <summary>Which warm extents to revoke when a GPU is short of memory.</summary>
/// <param name="Revocations">The extents, idle longest first.</param>
/// <param name="ReclaimedBytes">What they free if all are given up.</param>
/// <param name="MissingBytes">What is missing even then; 0 when they suffice.</param>
public sealed record ReclaimPlan(ImmutableArray<WarmReport> Revocations, long ReclaimedBytes, long MissingBytes)
{
    /// <summary>
    /// Chooses extents of other pools, idle longest first, without taking any pool below its floor; then drops those that turn out
    /// not to be needed, the shortest idle first. Changes nothing.
    /// </summary>
    /// <param name="shortageBytes">What is missing on the GPU.</param>
    /// <param name="requester">The pool that needs it: its own warm extents are left to it.</param>
    /// <param name="reports">Warm extents as reported; those of pools that the ledger doesn't know are passed over.</param>
    /// <param name="ledger">The GPU's ledger.</param>
    public static ReclaimPlan Choose(long shortageBytes, PoolId requester, IEnumerable<WarmReport> reports, GpuLedger ledger)
    {
        ArgumentNullException.ThrowIfNull(reports);
        ArgumentNullException.ThrowIfNull(ledger);
        var spare = ledger.Entries.ToDictionary(
            entry => entry.Pool, entry => Math.Min(entry.UsedBytes, entry.HeldBytes - entry.FloorBytes));
        var chosen = new List<WarmReport>();
        var reclaimed = 0L;
        foreach (var report in reports
            .Where(report => report.Pool != requester && report.ByteCount > 0)
            .DistinctBy(report => (report.Pool, report.Extent))
            .OrderBy(report => report.IdleSince).ThenByDescending(report => report.ByteCount))
        {
            if (reclaimed >= shortageBytes)
            {
                break;
            }

            if (spare.TryGetValue(report.Pool, out var spareBytes) && report.ByteCount <= spareBytes)
            {
                spare[report.Pool] = spareBytes - report.ByteCount;
                chosen.Add(report);
                reclaimed += report.ByteCount;
            }
        }

        for (var i = chosen.Count - 1; i >= 0; i--)
        {
            if (reclaimed - chosen[i].ByteCount >= shortageBytes)
            {
                reclaimed -= chosen[i].ByteCount;
                chosen.RemoveAt(i);
            }
        }

        return new ReclaimPlan([.. chosen], reclaimed, Math.Max(0, shortageBytes - reclaimed));
    }
}
