using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Ids;
using Holding = Kvcached.Core.Sharing.LedgerAccount.Holding;

namespace Kvcached.Core.Sharing;

/// <summary>
/// How memory moves: free → reserved → used → free, with quarantine on the way back. Amounts are bytes above 0.
/// </summary>
public sealed partial class GpuLedger
{
    /// <summary>Sets memory aside for a grant, within the pool's limit, clear of others' floors and earlier earmarks, and of others on the device.</summary>
    public bool TryReserve(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        _accounts.TryGetValue(pool, out var account) ? TryReserve(account, bytes, out refusal) : RefuseUnknown(pool, bytes, out refusal);

    /// <summary>A grant went through: reserved → used.</summary>
    public bool TryCommit(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, Holding.Reserved, Holding.Used, out refusal);

    /// <summary>A grant failed and every rank has undone it: reserved → free.</summary>
    public bool TryCancel(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, Holding.Reserved, Holding.Nothing, out refusal);

    /// <summary>Extents were unmapped everywhere: used → free.</summary>
    public bool TryFree(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, Holding.Used, Holding.Nothing, out refusal);

    /// <summary>An unmap failed or was not acknowledged: used → quarantined.</summary>
    public bool TryQuarantine(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, Holding.Used, Holding.Quarantined, out refusal);

    /// <summary>An abort was not acknowledged: reserved → quarantined.</summary>
    public bool TryQuarantineReserved(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, Holding.Reserved, Holding.Quarantined, out refusal);

    /// <summary>Nobody can write to the memory any more: quarantined → free.</summary>
    public bool TryUnquarantine(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        TryMove(pool, bytes, Holding.Quarantined, Holding.Nothing, out refusal);

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

        account.WarmBytes = Math.Min(bytes, account.UsedBytes);
        return Accept(out refusal);
    }

    /// <summary>
    /// Keeps what comes free for a pool whose request waits, before all that reserve or wait later. A pool has one earmark: asking again
    /// changes the amount and keeps the place in the queue. Refused when it would take the pool above its limit.
    /// </summary>
    public bool TryEarmark(PoolId pool, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (bytes < 1 || !_accounts.TryGetValue(pool, out var account))
        {
            return RefuseUnknown(pool, bytes, out refusal);
        }

        if (bytes > account.LimitBytes - account.HeldBytes)
        {
            return Refuse(LedgerRefusalReason.LimitReached, pool, bytes, out refusal);
        }

        SetEarmark(account, bytes, account.EarmarkSerial == 0 ? _nextEarmark++ : account.EarmarkSerial);
        return Accept(out refusal);
    }

    /// <summary>Gives up a pool's earmark, if it has one: its request was granted, refused or has passed its deadline.</summary>
    public void ClearEarmark(PoolId pool)
    {
        if (_accounts.TryGetValue(pool, out var account))
        {
            SetEarmark(account, 0, 0);
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

        _totals.Remove(account);
        (account.UsedBytes, account.QuarantinedBytes, account.ReservedBytes) = (usedBytes, quarantinedBytes, 0);
        (account.WarmBytes, account.EarmarkedBytes, account.EarmarkSerial) = (0, 0, 0);
        _totals.Add(account);
        return Accept(out refusal);
    }

    internal bool TryReserve(LedgerAccount account, long bytes, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (bytes < 1 || account.IsClosed)
        {
            return RefuseUnknown(account.Pool, bytes, out refusal);
        }

        if (bytes > account.LimitBytes - account.HeldBytes)
        {
            return Refuse(LedgerRefusalReason.LimitReached, account.Pool, bytes, out refusal);
        }

        var free = FreeBytesFor(account);
        if (bytes > WithinRoom(account, free))
        {
            return Refuse(bytes > free && !IsDeviceShort ? LedgerRefusalReason.NotEnoughFree : LedgerRefusalReason.DeviceShort, account.Pool, bytes, out refusal);
        }

        if (account.EarmarkSerial == 0)
        {
            _totals.Grow(account, bytes);
            account.ReservedBytes += bytes;
            return Accept(out refusal);
        }

        _totals.Remove(account);
        account.ReservedBytes += bytes;
        account.EarmarkedBytes = Math.Max(0, account.EarmarkedBytes - bytes);
        account.EarmarkSerial = account.EarmarkedBytes == 0 ? 0 : account.EarmarkSerial;
        _totals.Add(account);
        return Accept(out refusal);
    }

    internal bool TryMove(LedgerAccount account, long bytes, Holding from, Holding to, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (bytes < 1 || account.IsClosed)
        {
            return RefuseUnknown(account.Pool, bytes, out refusal);
        }

        if (bytes > account.BytesOf(from))
        {
            return Refuse(LedgerRefusalReason.NotHeld, account.Pool, bytes, out refusal);
        }

        if (to != Holding.Nothing)
        {
            // It stays held, so no sum changes.
            account.Add(from, -bytes);
            account.Add(to, bytes);
            return Accept(out refusal);
        }

        _totals.Remove(account);
        account.Add(from, -bytes);
        _totals.Add(account);
        return Accept(out refusal);
    }

    private bool TryMove(PoolId pool, long bytes, Holding from, Holding to, [NotNullWhen(false)] out LedgerRefusal? refusal) =>
        _accounts.TryGetValue(pool, out var account) ? TryMove(account, bytes, from, to, out refusal) : RefuseUnknown(pool, bytes, out refusal);

    private void SetEarmark(LedgerAccount account, long bytes, long serial)
    {
        _totals.Remove(account);
        (account.EarmarkedBytes, account.EarmarkSerial) = (bytes, serial);
        _totals.Add(account);
    }

    /// <summary>Refuses what names no amount, else what names no pool.</summary>
    private bool RefuseUnknown(PoolId pool, long bytes, out LedgerRefusal? refusal) =>
        Refuse(bytes < 1 ? LedgerRefusalReason.BadAmount : LedgerRefusalReason.UnknownPool, pool, bytes, out refusal);
}
