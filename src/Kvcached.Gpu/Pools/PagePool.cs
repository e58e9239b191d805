using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Pools;

/// <summary>
/// The one authoritative ledger of the memory that a GPU lends: which pool has what, and what is left. It outlives the actors that
/// use it. Safe for use by several threads; questions are answered at once, also while a driver call hangs.
/// </summary>
/// <remarks>
/// Mapped, kept, stock and quarantined bytes together never exceed the capacity, and no memory ever passes from one pool to another:
/// it is released and created anew, which clears it.
/// </remarks>
public sealed partial class PagePool : IDisposable
{
    private readonly Lock _lifecycle = new();
    private readonly IVirtualMemory _memory;
    private readonly PagePoolOptions _options;
    private readonly TimeProvider _time;
    private readonly CapacityLedger _ledger;
    private readonly MemoryStore _store;
    private readonly Dictionary<PoolId, RankPool> _pools = [];

    /// <param name="memory">The GPU's memory; it stays the caller's, and must outlive this.</param>
    /// <param name="options">Capacity and decay.</param>
    /// <param name="time">The clock of decay.</param>
    /// <param name="descriptors">How many file descriptors may be kept; null = as many as this process may open, less a reserve.</param>
    /// <exception cref="ArgumentException">The options are out of range.</exception>
    public PagePool(IVirtualMemory memory, PagePoolOptions options, TimeProvider time, FileDescriptorBudget? descriptors = null)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(time);
        if (options.CapacityBytes < memory.GranularityBytes || options.CapacityBytes > memory.TotalBytes)
        {
            throw new ArgumentException(
                $"The capacity is {ByteSize.Format(options.CapacityBytes)}; {memory.Gpu} can lend {ByteSize.Format(memory.GranularityBytes)} to "
                + $"{ByteSize.Format(memory.TotalBytes)}.", nameof(options));
        }

        if (options.KeptDecay < TimeSpan.Zero || options.MaxKeptBytesPerPool < 0 || !int.IsPow2(options.FloorExtentPageCount) || options.FloorExtentPageCount < 1)
        {
            throw new ArgumentException("Decay time and kept bytes must not be negative, and the pages of a floor's extents a power of two.", nameof(options));
        }

        _memory = memory;
        _options = options;
        _time = time;
        Incarnation = HostIncarnation.New();
        _ledger = new CapacityLedger(options.CapacityBytes);
        _store = new MemoryStore(memory, Incarnation, _ledger, descriptors ?? FileDescriptorBudget.ForProcess());
    }

    /// <summary>This life of the host; part of the identity of all memory created here.</summary>
    public HostIncarnation Incarnation { get; }

    public GpuId Gpu => _memory.Gpu;

    public long CapacityBytes => _options.CapacityBytes;

    public long GranularityBytes => _memory.GranularityBytes;

    public string Backend => _memory.Backend;

    /// <summary>
    /// Opens a rank's pool: reserves its arena and creates the memory of its floor. Opening it again with the same geometry gives the
    /// same pool, whose floor stays as it is (see <see cref="TrySetFloor"/>).
    /// </summary>
    /// <param name="id">The pool.</param>
    /// <param name="geometry">Its shape over all ranks.</param>
    /// <param name="rank">Which rank is on this GPU.</param>
    /// <param name="floorBytes">Bytes that are always its own, from 0 to the capacity.</param>
    /// <param name="isMappedHere">True when this process maps the pages, false when a worker does, from descriptors.</param>
    public OpenRankPoolResult Open(PoolId id, PoolGeometry geometry, int rank, long floorBytes, bool isMappedHere = true)
    {
        ArgumentNullException.ThrowIfNull(geometry);
        lock (_lifecycle)
        {
            if (TryGetAny(id, out var existing))
            {
                return Reopen(existing, geometry, rank, isMappedHere);
            }

            if (FindFault(geometry, rank, floorBytes) is { } refused)
            {
                return refused;
            }

            var account = new PoolAccount(id);
            lock (_ledger.Gate)
            {
                _ledger.Add(account);
            }

            AddressReservation? arena = null;
            var failure = isMappedHere
                ? DriverFailure.Of(() => _memory.Reserve(ArenaLayout.Create(geometry, rank).ByteCount), out arena)
                : null;
            if (failure is not null)
            {
                Forget(account);
                return new OpenRankPoolResult.Refused(OpenRefusal.DriverFailed, failure.Text);
            }

            var pool = new RankPool(account, geometry, rank, arena, _store, _ledger, _options, _time);
            lock (_ledger.Gate)
            {
                _pools.Add(id, pool);
            }

            if (ChangeFloor(pool, floorBytes) is { } problem)
            {
                Close(id);
                return problem;
            }

            return new OpenRankPoolResult.Opened(pool);
        }
    }

    /// <summary>An open pool; false for one that is unknown or closing.</summary>
    public bool TryGet(PoolId id, [NotNullWhen(true)] out RankPool? pool) => TryGetAny(id, out pool) && !pool.IsClosing;

    /// <summary>
    /// Unmaps and releases everything of a pool and gives its arena back. The pool takes no more requests whatever the outcome. Its
    /// worker must no longer use the memory.
    /// </summary>
    public CloseResult Close(PoolId id)
    {
        lock (_lifecycle)
        {
            if (!TryGetAny(id, out var pool))
            {
                return new CloseResult.NotFound();
            }

            var incomplete = pool.Close(out var releasedBytes);
            if (incomplete is not null)
            {
                return incomplete;
            }

            Forget(pool.Account);
            return new CloseResult.Closed(releasedBytes);
        }
    }

    /// <summary>
    /// Changes a pool's floor and creates or releases memory for it. False, with nothing changed, when others leave too little; a
    /// device that is short for the moment is no refusal: <see cref="RefillFloors"/> goes on later.
    /// </summary>
    public bool TrySetFloor(PoolId id, long floorBytes, [NotNullWhen(false)] out OpenRankPoolResult.Refused? refused)
    {
        lock (_lifecycle)
        {
            if (!TryGet(id, out var pool))
            {
                refused = new OpenRankPoolResult.Refused(OpenRefusal.NotFound, $"{id} is not open on {Gpu}.");
                return false;
            }

            refused = FindFault(floorBytes) ?? ReserveFloor(pool, floorBytes);
            if (refused is null)
            {
                pool.RefillFloor(out _, out _);
            }

            return refused is null;
        }
    }

    public PagePoolSnapshot Snapshot()
    {
        lock (_ledger.Gate)
        {
            return new PagePoolSnapshot(
                Incarnation, Gpu, Backend, CapacityBytes,
                Math.Max(0, CapacityBytes - _ledger.CommittedBytes),
                _ledger.Accounts.Sum(a => a.CommittedBytes - a.LeastCommittedBytes),
                [.. _pools.Values.OrderBy(p => p.Id).Select(p => p.ToSnapshot())]);
        }
    }

    /// <summary>Closes every pool; what the driver refuses to take back goes when the process ends.</summary>
    public void Dispose()
    {
        foreach (var pool in Pools())
        {
            Close(pool.Id);
        }
    }

    private List<RankPool> Pools()
    {
        lock (_ledger.Gate)
        {
            return [.. _pools.Values];
        }
    }

    private bool TryGetAny(PoolId id, [NotNullWhen(true)] out RankPool? pool)
    {
        lock (_ledger.Gate)
        {
            return _pools.TryGetValue(id, out pool);
        }
    }

    private OpenRankPoolResult Reopen(RankPool pool, PoolGeometry geometry, int rank, bool isMappedHere)
    {
        if (pool.IsClosing)
        {
            return new OpenRankPoolResult.Refused(OpenRefusal.Closing, $"{pool.Id} is being closed on {Gpu}; close it again to finish.");
        }

        return pool.Geometry.Equals(geometry) && pool.Rank == rank && pool.IsMappedHere == isMappedHere
            ? new OpenRankPoolResult.Opened(pool)
            : new OpenRankPoolResult.Refused(OpenRefusal.OtherGeometry, $"{pool.Id} is open on {Gpu} with another geometry, rank or target. Close it first.");
    }

    private OpenRankPoolResult.Refused? FindFault(PoolGeometry geometry, int rank, long floorBytes)
    {
        if (GeometryRules.FindProblem(geometry, GranularityBytes) is { } problem)
        {
            return new OpenRankPoolResult.Refused(OpenRefusal.InvalidGeometry, problem);
        }

        if ((uint)rank >= (uint)geometry.Ranks.Length || geometry.Ranks[rank].Gpu != Gpu)
        {
            var where = (uint)rank >= (uint)geometry.Ranks.Length ? "doesn't exist" : $"is on {geometry.Ranks[rank].Gpu}";
            return new OpenRankPoolResult.Refused(OpenRefusal.InvalidRank, $"Rank {rank} {where}; this is {Gpu}.");
        }

        return FindFault(floorBytes);
    }

    private OpenRankPoolResult.Refused? FindFault(long floorBytes) =>
        floorBytes < 0 || floorBytes > CapacityBytes
            ? new OpenRankPoolResult.Refused(
                OpenRefusal.InvalidFloor, $"A floor of {ByteSize.Format(floorBytes)} isn't between 0 and the capacity of {Gpu}, {ByteSize.Format(CapacityBytes)}.")
            : null;

    private OpenRankPoolResult.Refused? ChangeFloor(RankPool pool, long floorBytes)
    {
        if (ReserveFloor(pool, floorBytes) is { } refused)
        {
            return refused;
        }

        pool.RefillFloor(out var failure, out var isDeviceShort);
        return failure is not null
            ? new OpenRankPoolResult.Refused(OpenRefusal.DriverFailed, failure.Text)
            : isDeviceShort
                ? new OpenRankPoolResult.Refused(
                    OpenRefusal.OutOfMemory, $"{Gpu} has too little memory left for a floor of {ByteSize.Format(floorBytes)}: something else uses it. Lower the capacity.")
                : null;
    }

    private OpenRankPoolResult.Refused? ReserveFloor(RankPool pool, long floorBytes)
    {
        if (pool.TryReserveFloor(floorBytes, out var failure))
        {
            return null;
        }

        return failure is null
            ? new OpenRankPoolResult.Refused(
                OpenRefusal.FloorExceedsCapacity,
                $"A floor of {ByteSize.Format(floorBytes)} doesn't fit on {Gpu}, which lends {ByteSize.Format(CapacityBytes)}: use and floors of other pools leave too little.")
            : new OpenRankPoolResult.Refused(OpenRefusal.DriverFailed, failure.Text);
    }

    private void Forget(PoolAccount account)
    {
        lock (_ledger.Gate)
        {
            _ledger.Remove(account);
            _pools.Remove(account.Pool);
        }
    }
}
