namespace Kvcached.Core.Sharing;

/// <summary>
/// Weights are ranks: who has a higher weight may take all that no floor claims from those below, and they never take it back. Pools of the same weight
/// share equally what those above leave.
/// </summary>
/// <remarks>
/// A pool's share is its floor and its part of what remains when everyone above has what it holds and asks for. It falls as those above grow, and theirs don't depend on
/// it; so memory moves upwards only, until those above return it by themselves.
/// </remarks>
public sealed class PrioritySharing : ISharingPolicy
{
    private PrioritySharing()
    {
    }

    public static PrioritySharing Instance { get; } = new();

    public string Name => "priority";

    public long ShareBytes(GpuLedger ledger, in LedgerEntry entry, in ShareDemand demand = default)
    {
        ArgumentNullException.ThrowIfNull(ledger);
        var unclaimed = ledger.LendableBytes;
        var peers = 0;
        foreach (var other in ledger.Entries)
        {
            unclaimed -= other.FloorBytes;
            if (other.Weight > entry.Weight)
            {
                var held = other.HeldBytes + (other.Pool == demand.Pool ? demand.ByteCount : 0);
                unclaimed -= Math.Max(0, held - other.FloorBytes);
            }
            else if (other.Weight.Equals(entry.Weight))
            {
                peers++;
            }
        }

        return Math.Min(entry.LimitBytes, entry.FloorBytes + (Math.Max(0, unclaimed) / Math.Max(1, peers)));
    }

    /// <summary>The lowest weight first; among equals the one furthest above its share.</summary>
    public double UrgencyOf(in LedgerEntry entry, long excessBytes) => (-entry.Weight * (double)(1L << 52)) + excessBytes;
}
