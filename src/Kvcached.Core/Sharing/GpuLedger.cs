using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Sharing;

/// <summary>
/// The coordinator's account of one GPU: what it can lend, and what each pool may have, has, and is about to get. Sums over the pools are
/// kept, so that a reservation takes the same time for one pool and for many. Not thread-safe.
/// </summary>
public sealed partial class GpuLedger
{
    private readonly SortedList<PoolId, LedgerAccount> _accounts = [];
    private LedgerTotals _totals;

    // Added up anew when terms change: a running sum of fractions would drift.
    private double _weightSum;
    private long _nextEarmark = 1;

    /// <summary>A ledger without pools.</summary>
    /// <param name="gpu">The GPU.</param>
    /// <param name="capacityBytes">Its memory, from 0.</param>
    /// <param name="headroomBytes">What is never lent: contexts, weights and others' memory; from 0.</param>
    public GpuLedger(GpuId gpu, long capacityBytes, long headroomBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(capacityBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(headroomBytes);
        Gpu = gpu;
        CapacityBytes = capacityBytes;
        HeadroomBytes = headroomBytes;
    }

    public GpuId Gpu { get; }

    public long CapacityBytes { get; private set; }

    public long HeadroomBytes { get; private set; }

    /// <summary>What can be lent to pools: capacity less headroom, at least 0.</summary>
    public long LendableBytes => Math.Max(0, CapacityBytes - HeadroomBytes);

    /// <summary>Held by all pools together.</summary>
    public long HeldBytes => _totals.HeldBytes;

    /// <summary>Held by nobody, neither pools nor others on the device, floors not looked at; at least 0.</summary>
    public long UnheldBytes => Math.Max(0, Math.Min(LendableBytes, RoomBytes) - HeldBytes);

    /// <summary>True when more is held or promised than can be lent: after a restore, or since the capacity shrank.</summary>
    public bool IsOvercommitted => _totals.ClaimedBytes > LendableBytes;

    /// <summary>All accounts, by pool.</summary>
    public IEnumerable<LedgerEntry> Entries => _accounts.Values.Select(account => account.Entry);

    /// <summary>The pool's account, to be kept by who uses it often; null when it has none.</summary>
    public LedgerAccount? FindAccount(PoolId pool) => _accounts.GetValueOrDefault(pool);

    public bool TryFind(PoolId pool, out LedgerEntry entry)
    {
        var found = _accounts.TryGetValue(pool, out var account);
        entry = found ? account!.Entry : default;
        return found;
    }

    /// <summary>
    /// What the pool could reserve now: less than what nobody holds where others' floors, or earmarks older than its own, have to
    /// be kept free, or where others on the device leave no room; and at most up to its limit. 0 for a pool without account.
    /// </summary>
    public long AvailableBytes(PoolId pool) => _accounts.TryGetValue(pool, out var account)
        ? Math.Max(0, Math.Min(WithinRoom(account, FreeBytesFor(account)), account.LimitBytes - account.HeldBytes))
        : 0;

    /// <summary>
    /// What the pool should come down to when others want memory: its floor and its weight's share of what no floor claims, at most
    /// its limit. 0 for a pool without account.
    /// </summary>
    public long WeightedShareBytes(PoolId pool)
    {
        if (!_accounts.TryGetValue(pool, out var account))
        {
            return 0;
        }

        var unclaimed = Math.Max(0, LendableBytes - _totals.FloorBytes);
        var share = account.FloorBytes + (long)(unclaimed * (account.Weight / _weightSum));
        return Math.Min(account.LimitBytes, share);
    }

    /// <summary>Opens an account for a pool, holding nothing yet.</summary>
    public bool TryAdmit(PoolId pool, long limitBytes, long floorBytes, double weight, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (_accounts.ContainsKey(pool))
        {
            return Refuse(LedgerRefusalReason.AlreadyAdmitted, pool, floorBytes, out refusal);
        }

        if (FindTermsProblem(pool, heldBytes: 0, limitBytes, floorBytes, weight) is { } reason)
        {
            return Refuse(reason, pool, floorBytes, out refusal);
        }

        var account = new LedgerAccount(this, pool) { LimitBytes = limitBytes, FloorBytes = floorBytes, Weight = weight };
        _accounts.Add(pool, account);
        _totals.Add(account);
        SumWeights();
        return Accept(out refusal);
    }

    /// <summary>
    /// Changes what a pool may have. A limit below what it holds is accepted: it gets no more, and is asked to shrink
    /// (<see cref="LedgerEntry.IsAboveLimit"/>).
    /// </summary>
    public bool TryChange(PoolId pool, long limitBytes, long floorBytes, double weight, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (!_accounts.TryGetValue(pool, out var account))
        {
            return Refuse(LedgerRefusalReason.UnknownPool, pool, floorBytes, out refusal);
        }

        if (!CanChange(pool, limitBytes, floorBytes, weight, out refusal))
        {
            return false;
        }

        _totals.Remove(account);
        (account.LimitBytes, account.FloorBytes, account.Weight) = (limitBytes, floorBytes, weight);
        _totals.Add(account);
        SumWeights();
        return Accept(out refusal);
    }

    /// <summary>Whether <see cref="TryChange"/> would be accepted, so that several GPUs can be asked before any is changed.</summary>
    public bool CanChange(PoolId pool, long limitBytes, long floorBytes, double weight, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (!_accounts.TryGetValue(pool, out var account))
        {
            return Refuse(LedgerRefusalReason.UnknownPool, pool, floorBytes, out refusal);
        }

        // Keeping or lowering a floor takes nothing from anyone, however tight memory is.
        var problem = FindTermsProblem(pool, account.HeldBytes, limitBytes, floorBytes, weight);
        return problem is { } reason
            && !(reason is LedgerRefusalReason.FloorInUse or LedgerRefusalReason.FloorsExceedCapacity or LedgerRefusalReason.DeviceShort && floorBytes <= account.FloorBytes)
            ? Refuse(reason, pool, floorBytes, out refusal)
            : Accept(out refusal);
    }

    /// <summary>Closes the account of a pool that holds nothing any more.</summary>
    public bool TryRemove(PoolId pool, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (!_accounts.TryGetValue(pool, out var account))
        {
            return Refuse(LedgerRefusalReason.UnknownPool, pool, 0, out refusal);
        }

        if (account.HeldBytes > 0)
        {
            return Refuse(LedgerRefusalReason.StillHolds, pool, 0, out refusal);
        }

        _accounts.Remove(pool);
        _totals.Remove(account);
        account.IsClosed = true;
        SumWeights();
        return Accept(out refusal);
    }

    /// <summary>Takes note of another capacity or headroom. Refused when the floors would no longer fit.</summary>
    public bool TryResize(long capacityBytes, long headroomBytes, [NotNullWhen(false)] out LedgerRefusal? refusal)
    {
        if (capacityBytes < 0 || headroomBytes < 0)
        {
            return Refuse(LedgerRefusalReason.BadAmount, default, capacityBytes, out refusal);
        }

        if (_totals.FloorBytes > Math.Max(0, capacityBytes - headroomBytes))
        {
            return Refuse(LedgerRefusalReason.FloorsExceedCapacity, default, capacityBytes, out refusal);
        }

        CapacityBytes = capacityBytes;
        HeadroomBytes = headroomBytes;
        return Accept(out refusal);
    }

    /// <summary>The first broken rule of bookkeeping, as a sentence, or null: for tests and self-checks.</summary>
    public string? FindImbalance()
    {
        foreach (var entry in Entries)
        {
            if (entry.UsedBytes < 0 || entry.ReservedBytes < 0 || entry.QuarantinedBytes < 0 || entry.WarmBytes < 0 || entry.EarmarkedBytes < 0)
            {
                return $"{entry.Pool} has a negative amount on {Gpu}: {entry}.";
            }

            if (entry.WarmBytes > entry.UsedBytes)
            {
                return $"{entry.Pool} has {entry.WarmBytes} warm bytes on {Gpu}, more than the {entry.UsedBytes} it uses.";
            }

            if (entry.FloorBytes > entry.LimitBytes)
            {
                return $"{entry.Pool} has a floor of {entry.FloorBytes} bytes on {Gpu}, above its limit of {entry.LimitBytes}.";
            }
        }

        var recounted = default(LedgerTotals);
        foreach (var account in _accounts.Values)
        {
            recounted.Add(account);
        }

        if (recounted != _totals)
        {
            return $"The sums over all pools on {Gpu} are {_totals}, and their accounts add up to {recounted}.";
        }

        return _totals.FloorBytes > LendableBytes ? $"The floors on {Gpu} add up to more than the {LendableBytes} bytes that can be lent." : null;
    }

    private LedgerRefusalReason? FindTermsProblem(PoolId pool, long heldBytes, long limitBytes, long floorBytes, double weight)
    {
        if (limitBytes < 0 || floorBytes < 0 || !(weight > 0) || double.IsInfinity(weight))
        {
            return LedgerRefusalReason.BadAmount;
        }

        if (limitBytes < floorBytes)
        {
            return LedgerRefusalReason.LimitBelowFloor;
        }

        var (ownFloorBytes, ownClaimedBytes) = _accounts.TryGetValue(pool, out var own) ? (own.FloorBytes, own.ClaimedBytes) : (0L, 0L);
        if (floorBytes > LendableBytes - (_totals.FloorBytes - ownFloorBytes))
        {
            return LedgerRefusalReason.FloorsExceedCapacity;
        }

        if (floorBytes <= heldBytes)
        {
            return null;
        }

        var claimedByOthersBytes = _totals.ClaimedBytes - ownClaimedBytes;
        return floorBytes > LendableBytes - claimedByOthersBytes ? LedgerRefusalReason.FloorInUse
            : floorBytes > RoomBytes - claimedByOthersBytes ? LedgerRefusalReason.DeviceShort
            : null;
    }

    private void SumWeights()
    {
        _weightSum = 0;
        foreach (var account in _accounts.Values)
        {
            _weightSum += account.Weight;
        }
    }

    /// <summary>What nobody holds or is owed before this pool; may be negative.</summary>
    private long FreeBytesFor(LedgerAccount account)
    {
        var free = LendableBytes - account.HeldBytes;
        if (account.EarmarkSerial == 0)
        {
            // Every earmark is someone else's, and earlier.
            return free - (_totals.OwedBytes - account.OwedBytes);
        }

        free -= _totals.ClaimedBytes - account.ClaimedBytes;
        for (var i = 0; i < _accounts.Count && _totals.EarmarkCount > 1; i++)
        {
            var other = _accounts.GetValueAtIndex(i);
            if (other.EarmarkSerial != 0 && other.EarmarkSerial < account.EarmarkSerial)
            {
                free -= other.OwedBytes - other.ClaimedBytes;
            }
        }

        return free;
    }

    private static bool Accept(out LedgerRefusal? refusal)
    {
        refusal = null;
        return true;
    }

    private bool Refuse(LedgerRefusalReason reason, PoolId pool, long requestedBytes, out LedgerRefusal? refusal)
    {
        var found = _accounts.TryGetValue(pool, out var account);
        var free = found ? WithinRoom(account!, FreeBytesFor(account!)) : Math.Min(LendableBytes, RoomBytes) - _totals.ClaimedBytes;
        refusal = new LedgerRefusal(
            reason, Gpu, pool, requestedBytes, Math.Max(0, free), found ? account!.LimitBytes : 0,
            [.. Entries.Where(entry => entry.ClaimedBytes > 0)
                .OrderByDescending(entry => entry.ClaimedBytes)
                .Select(entry => new LedgerHolder(entry.Pool, entry.HeldBytes, entry.WarmBytes, entry.FloorBytes))]);
        return false;
    }
}
