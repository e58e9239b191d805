using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Sharing;

/// <summary>
/// One pool's account on one GPU: who keeps it moves memory in constant time, without looking the pool up each time. Amounts are bytes. Once
/// the ledger has closed it, it refuses as <see cref="LedgerRefusalReason.UnknownPool"/>.
/// </summary>
public sealed class LedgerAccount
{
    private readonly GpuLedger _ledger;

    // Fields, so that a move changes one number in place; only the ledger writes them, and keeps its sums in step.
    internal long LimitBytes;
    internal long FloorBytes;
    internal double Weight;
    internal long UsedBytes;
    internal long ReservedBytes;
    internal long QuarantinedBytes;
    internal long WarmBytes;
    internal long EarmarkedBytes;

    /// <summary>Order of the earmark among all of the GPU; 0 = none.</summary>
    internal long EarmarkSerial;

    internal LedgerAccount(GpuLedger ledger, PoolId pool)
    {
        _ledger = ledger;
        Pool = pool;
    }

    public PoolId Pool { get; }

    /// <summary>True when the ledger no longer has this account.</summary>
    public bool IsClosed { get; internal set; }

    /// <inheritdoc cref="LedgerEntry.HeldBytes"/>
    public long HeldBytes => UsedBytes + ReservedBytes + QuarantinedBytes;

    /// <summary>The amounts as they are now.</summary>
    public LedgerEntry Entry =>
        new(Pool, LimitBytes, FloorBytes, Weight, UsedBytes, ReservedBytes, QuarantinedBytes, WarmBytes, EarmarkedBytes);

    /// <inheritdoc cref="LedgerEntry.ClaimedBytes"/>
    internal long ClaimedBytes => Math.Max(HeldBytes, FloorBytes);

    /// <summary>What those have to leave to this pool that come after its earmark.</summary>
    internal long OwedBytes => Math.Max(HeldBytes + EarmarkedBytes, FloorBytes);

    /// <inheritdoc cref="GpuLedger.TryReserve(PoolId, long, out LedgerRefusal?)"/>
    public bool TryReserve(long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) => _ledger.TryReserve(this, bytes, out refusal);

    /// <inheritdoc cref="GpuLedger.TryCommit(PoolId, long, out LedgerRefusal?)"/>
    public bool TryCommit(long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        _ledger.TryMove(this, bytes, Holding.Reserved, Holding.Used, out refusal);

    /// <inheritdoc cref="GpuLedger.TryCancel(PoolId, long, out LedgerRefusal?)"/>
    public bool TryCancel(long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        _ledger.TryMove(this, bytes, Holding.Reserved, Holding.Nothing, out refusal);

    /// <summary>How the pool has memory.</summary>
    internal enum Holding
    {
        /// <summary>Not at all: it is free.</summary>
        Nothing,
        Reserved,
        Used,
        Quarantined,
    }

    internal long BytesOf(Holding holding) => holding switch
    {
        Holding.Reserved => ReservedBytes,
        Holding.Used => UsedBytes,
        Holding.Quarantined => QuarantinedBytes,
        _ => 0,
    };

    /// <summary>Adds to one amount, or takes from it.</summary>
    internal void Add(Holding holding, long bytes)
    {
        switch (holding)
        {
            case Holding.Reserved:
                ReservedBytes += bytes;
                break;
            case Holding.Used:
                UsedBytes += bytes;
                WarmBytes = Math.Min(WarmBytes, UsedBytes);
                break;
            case Holding.Quarantined:
                QuarantinedBytes += bytes;
                break;
        }
    }
}
