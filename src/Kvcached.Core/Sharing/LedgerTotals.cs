namespace Kvcached.Core.Sharing;

/// <summary>
/// Sums over the accounts of one GPU, kept while they change, so that a reservation needn't go through all pools. An account is taken out,
/// changed and put in again. Whole numbers only, which can't drift; equality is what the self-check asks.
/// </summary>
internal record struct LedgerTotals
{
    public long HeldBytes;
    public long ClaimedBytes;

    /// <summary>What is left to all pools when every earmark counts.</summary>
    public long OwedBytes;
    public long FloorBytes;
    public int EarmarkCount;

    public void Add(LedgerAccount account)
    {
        HeldBytes += account.HeldBytes;
        ClaimedBytes += account.ClaimedBytes;
        OwedBytes += account.OwedBytes;
        FloorBytes += account.FloorBytes;
        EarmarkCount += account.EarmarkSerial == 0 ? 0 : 1;
    }

    /// <summary>Counts what an account without earmark is about to hold in addition: what the hot path needs of taking out and putting in.</summary>
    public void Grow(LedgerAccount account, long bytes)
    {
        var held = account.HeldBytes;
        var claimed = Math.Max(held + bytes, account.FloorBytes) - Math.Max(held, account.FloorBytes);
        HeldBytes += bytes;
        ClaimedBytes += claimed;
        OwedBytes += claimed;
    }

    public void Remove(LedgerAccount account)
    {
        HeldBytes -= account.HeldBytes;
        ClaimedBytes -= account.ClaimedBytes;
        OwedBytes -= account.OwedBytes;
        FloorBytes -= account.FloorBytes;
        EarmarkCount -= account.EarmarkSerial == 0 ? 0 : 1;
    }
}
