using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Sharing;

/// <summary>
/// How memory moves: free → reserved → used → free, with quarantine on the way back. Amounts are bytes above 0.
/// </summary>
public sealed partial class GpuLedger
{
    /// <summary>Sets memory aside for a grant, within the pool's limit and clear of others' floors and earlier earmarks.</summary>
    public bool TryReserve(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (!TryOpen(pool, bytes, out var account, out refusal))
        {
            return false;
        }

        if (bytes > account.Entry.LimitBytes - account.Entry.HeldBytes)
        {
            return Refuse(LedgerRefusalReason.LimitReached, pool, bytes, out refusal);
        }

        if (bytes > FreeBytesFor(account))
        {
            return Refuse(LedgerRefusalReason.NotEnoughFree, pool, bytes, out refusal);
        }

        account.Entry = account.Entry with
        {
            ReservedBytes = account.Entry.ReservedBytes + bytes,
            EarmarkedBytes = Math.Max(0, account.Entry.EarmarkedBytes - bytes),
        };
        account.EarmarkSerial = account.Entry.EarmarkedBytes == 0 ? 0 : account.EarmarkSerial;
        return true;
    }

    /// <summary>A grant went through: reserved → used.</summary>
    public bool TryCommit(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, entry => entry.ReservedBytes,
            (entry, moved) => entry with { ReservedBytes = entry.ReservedBytes - moved, UsedBytes = entry.UsedBytes + moved }, out refusal);

    /// <summary>A grant failed and every rank has undone it: reserved → free.</summary>
    public bool TryCancel(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, entry => entry.ReservedBytes,
            (entry, moved) => entry with { ReservedBytes = entry.ReservedBytes - moved }, out refusal);

    /// <summary>Extents were unmapped everywhere: used → free.</summary>
    public bool TryFree(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, entry => entry.UsedBytes,
            (entry, moved) => entry with { UsedBytes = entry.UsedBytes - moved, WarmBytes = Math.Min(entry.WarmBytes, entry.UsedBytes - moved) },
            out refusal);

    /// <summary>An unmap failed or was not acknowledged: used → quarantined.</summary>
    public bool TryQuarantine(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, entry => entry.UsedBytes,
            (entry, moved) => entry with
            {
                UsedBytes = entry.UsedBytes - moved,
                QuarantinedBytes = entry.QuarantinedBytes + moved,
                WarmBytes = Math.Min(entry.WarmBytes, entry.UsedBytes - moved),
            },
            out refusal);

    /// <summary>An abort was not acknowledged: reserved → quarantined.</summary>
    public bool TryQuarantineReserved(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, entry => entry.ReservedBytes,
            (entry, moved) => entry with { ReservedBytes = entry.ReservedBytes - moved, QuarantinedBytes = entry.QuarantinedBytes + moved },
            out refusal);

    /// <summary>Nobody can write to the memory any more: quarantined → free.</summary>
    public bool TryUnquarantine(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, entry => entry.QuarantinedBytes,
            (entry, moved) => entry with { QuarantinedBytes = entry.QuarantinedBytes - moved }, out refusal);

    /// <summary>Notes how much of the used memory a scheduler reports as warm, from 0; what exceeds the used is not believed.</summary>
    public bool TryReportWarm(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (bytes < 0)
        {
            return Refuse(LedgerRefusalReason.BadAmount, pool, bytes, out refusal);
        }

        if (!_accounts.TryGetValue(pool, out var account))
        {
            return Refuse(LedgerRefusalReason.UnknownPool, pool, bytes, out refusal);
        }

        account.Entry = account.Entry with { WarmBytes = Math.Min(bytes, account.Entry.UsedBytes) };
        return Accept(out refusal);
    }

    /// <summary>
    /// Keeps what comes free for a pool whose request waits, before all that reserve or wait later. A pool has one earmark: asking again
    /// changes the amount and keeps the place in the queue. Refused when it would take the pool above its limit.
    /// </summary>
    public bool TryEarmark(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (!TryOpen(pool, bytes, out var account, out refusal))
        {
            return false;
        }

        if (bytes > account.Entry.LimitBytes - account.Entry.HeldBytes)
        {
            return Refuse(LedgerRefusalReason.LimitReached, pool, bytes, out refusal);
        }

        account.Entry = account.Entry with { EarmarkedBytes = bytes };
        account.EarmarkSerial = account.EarmarkSerial == 0 ? _nextEarmark++ : account.EarmarkSerial;
        return true;
    }

    /// <summary>Gives up a pool's earmark, if it has one: its request was granted, refused or has passed its deadline.</summary>
    public void ClearEarmark(PoolId pool)
    {
        if (_accounts.TryGetValue(pool, out var account))
        {
            account.Entry = account.Entry with { EarmarkedBytes = 0 };
            account.EarmarkSerial = 0;
        }
    }

    /// <summary>
    /// Takes over what the ranks report for an admitted pool: a new coordinator's start. What is mapped is mapped, so neither limit
    /// nor floors are asked; reservations, warm reports and earmarks are forgotten.
    /// </summary>
    public bool TryRestore(PoolId pool, long usedBytes, long quarantinedBytes, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (usedBytes < 0 || quarantinedBytes < 0 || usedBytes > CapacityBytes || quarantinedBytes > CapacityBytes - usedBytes)
        {
            return Refuse(LedgerRefusalReason.BadAmount, pool, usedBytes, out refusal);
        }

        if (!_accounts.TryGetValue(pool, out var account))
        {
            return Refuse(LedgerRefusalReason.UnknownPool, pool, usedBytes, out refusal);
        }

        account.EarmarkSerial = 0;
        account.Entry = account.Entry with
        {
            UsedBytes = usedBytes,
            QuarantinedBytes = quarantinedBytes,
            ReservedBytes = 0,
            WarmBytes = 0,
            EarmarkedBytes = 0,
        };
        return Accept(out refusal);
    }

    private bool TryMove(
        PoolId pool,
        long bytes,
        Func<LedgerEntry, long> available,
        Func<LedgerEntry, long, LedgerEntry> move,
        [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (!TryOpen(pool, bytes, out var account, out refusal))
        {
            return false;
        }

        if (bytes > available(account.Entry))
        {
            return Refuse(LedgerRefusalReason.NotHeld, pool, bytes, out refusal);
        }

        account.Entry = move(account.Entry, bytes);
        return true;
    }

    private bool TryOpen(
        PoolId pool, long bytes, [NotNullWhen(true)] out Account? account, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        account = null;
        if (bytes < 1)
        {
            return Refuse(LedgerRefusalReason.BadAmount, pool, bytes, out refusal);
        }

        return _accounts.TryGetValue(pool, out account)
            ? Accept(out refusal)
            : Refuse(LedgerRefusalReason.UnknownPool, pool, bytes, out refusal);
    }
}
