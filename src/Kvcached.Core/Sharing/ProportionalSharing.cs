namespace Kvcached.Core.Sharing;

/// <summary>Weights are proportions: of what no floor claims, each pool's share is its weight's part, whether others want theirs or not.</summary>
public sealed class ProportionalSharing : ISharingPolicy
{
    private ProportionalSharing()
    {
    }

    public static ProportionalSharing Instance { get; } = new();

    public string Name => "proportional";

    public long ShareBytes(GpuLedger ledger, in LedgerEntry entry, in ShareDemand demand = default)
    {
        ArgumentNullException.ThrowIfNull(ledger);
        return ledger.WeightedShareBytes(entry.Pool);
    }

    /// <summary>Those furthest above their share first, so that few engines are disturbed.</summary>
    public double UrgencyOf(in LedgerEntry entry, long excessBytes) => excessBytes;
}
