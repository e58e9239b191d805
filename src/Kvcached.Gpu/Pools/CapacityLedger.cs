using System.Collections.Immutable;

namespace Kvcached.Gpu.Pools;

/// <summary>
/// Who has how much of one GPU's capacity. Only arithmetic: every method is called with <see cref="Gate"/> held and none calls the
/// driver, so that the ledger answers also while a driver call hangs.
/// </summary>
internal sealed class CapacityLedger(long capacityBytes)
{
    private readonly List<PoolAccount> _accounts = [];

    internal Lock Gate { get; } = new();

    internal long CapacityBytes => capacityBytes;

    internal IReadOnlyList<PoolAccount> Accounts => _accounts;

    internal long CommittedBytes
    {
        get
        {
            var bytes = 0L;
            foreach (var account in _accounts)
            {
                bytes += account.CommittedBytes;
            }

            return bytes;
        }
    }

    internal bool IsWithinCapacity => CommittedBytes <= capacityBytes;

    /// <summary>True while workers are to let go of memory that was taken from what their pools keep.</summary>
    internal bool IsAwaitingWorkers
    {
        get
        {
            foreach (var account in _accounts)
            {
                if (account.Wanted.ByteCount > 0)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>What pools together should hold for now, at most; memory that is only kept gives way to it.</summary>
    internal long RoomBytes { get; set; } = long.MaxValue;

    internal void Add(PoolAccount account) => _accounts.Add(account);

    internal void Remove(PoolAccount account) => _accounts.Remove(account);

    /// <summary>Most bytes that a pool could have in use, if all that anyone keeps were given back.</summary>
    internal long LargestUse(PoolAccount account)
    {
        var others = 0L;
        foreach (var other in _accounts)
        {
            others += other == account ? 0 : other.LeastCommittedBytes;
        }

        return Math.Max(0, capacityBytes - others);
    }

    /// <summary>
    /// True when the pool can use <paramref name="bytes"/> more than it has mapped, pending or quarantined, at the cost of what
    /// anyone keeps.
    /// </summary>
    internal bool CanGrow(PoolAccount account, long bytes) => account.UsedBytes - account.IdleBytes <= LargestUse(account) - bytes;

    /// <summary>
    /// Takes kept memory, idle longest first, until all pools together fit the capacity again, and the room that others on the device leave. The caller
    /// releases it before it creates anything. Stops short only when there is no more to take. What workers have imported is wanted back instead, and
    /// counts until they have let go of it.
    /// </summary>
    internal List<ExtentMemory> ReclaimUntilFits()
    {
        var taken = new List<ExtentMemory>();
        while (SettledBytes > Math.Min(capacityBytes, RoomBytes) && FindVictim() is { } victim)
        {
            TakeOldestOf(victim, taken);
        }

        return taken;
    }

    /// <summary>Takes all memory that is kept above floors: for when the device is short though the capacity isn't.</summary>
    internal List<ExtentMemory> ReclaimAll()
    {
        var taken = new List<ExtentMemory>();
        while (FindVictim() is { } victim)
        {
            TakeOldestOf(victim, taken);
        }

        return taken;
    }

    /// <summary>Takes stock that the floor no longer has room for beside what is used.</summary>
    internal static List<ExtentMemory> TakeExcessStock(PoolAccount account)
    {
        var taken = new List<ExtentMemory>();
        while (account.Stock.ByteCount > account.UnusedFloorBytes)
        {
            taken.Add(account.Stock.Take(account.Stock.Oldest!));
        }

        return taken;
    }

    internal OutOfMemoryFacts Explain(PoolAccount account, long requestedBytes, bool isDeviceShort) =>
        new(requestedBytes,
            Math.Max(0, LargestUse(account) - (account.UsedBytes - account.IdleBytes)),
            capacityBytes,
            isDeviceShort,
            [.. _accounts.Select(a => new PoolHolding(a.Pool, a.UsedBytes, a.UnusedFloorBytes)).OrderByDescending(h => h.UsedBytes + h.UnusedFloorBytes)]);

    private long SettledBytes
    {
        get
        {
            var bytes = 0L;
            foreach (var account in _accounts)
            {
                bytes += account.SettledBytes;
            }

            return bytes;
        }
    }

    private static void TakeOldestOf(PoolAccount victim, List<ExtentMemory> taken)
    {
        var memory = victim.Kept.Take(victim.Kept.Oldest!);
        if (memory.IsImported)
        {
            victim.Wanted.Add(memory, memory.ShelvedAt);
        }
        else
        {
            taken.Add(memory);
        }
    }

    internal ImmutableArray<PoolAccount> ToArray() => [.. _accounts];

    /// <summary>
    /// The pool whose kept memory lies idle longest, of those that are above their floor: what is kept within a floor gives nothing
    /// to others.
    /// </summary>
    private PoolAccount? FindVictim()
    {
        PoolAccount? victim = null;
        foreach (var account in _accounts)
        {
            if (account.Kept.Oldest is { } oldest && account.UsedBytes - account.Wanted.ByteCount > account.FloorBytes
                && (victim is null || oldest.ShelvedAt < victim.Kept.Oldest!.ShelvedAt))
            {
                victim = account;
            }
        }

        return victim;
    }
}
