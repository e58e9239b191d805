using System.Collections.Immutable;
using Kvcached.Actors.Workers;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Replication;
using Kvcached.Core.Sharing;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// What a rank knows and must not lose with its actors: its memory, its copy of every pool's table, what its workers hold, and the highest epoch
/// it has seen. Lives in the host process, outside the actor system; touched only by the one page mapper of the moment.
/// </summary>
public sealed class RankState(PagePool pages)
{
    private readonly Dictionary<PoolId, RankPoolState> _pools = [];
    private readonly List<ClearedExtents> _cleared = [];
    private string? _awaited;
    private DeviceShare? _device;
    private bool _isDraining;

    public PagePool Pages { get; } = pages;

    /// <summary>The engine workers that map pages of this rank; what the engine gateway tells of them goes there.</summary>
    public WorkerRegistry Workers { get; } = new();

    /// <summary>What operators have laid down for pools.</summary>
    public RankPolicies Policies { get; } = new();

    /// <summary>How the device is shared with others; null when nobody has looked. Read from any thread.</summary>
    public DeviceShare? Device
    {
        get => Volatile.Read(ref _device);
        internal set => Volatile.Write(ref _device, value);
    }

    /// <summary>True while an operator has it drained. Read from any thread.</summary>
    public bool IsDraining
    {
        get => Volatile.Read(ref _isDraining);
        internal set => Volatile.Write(ref _isDraining, value);
    }

    /// <summary>Where it is kept who may hold memory of this rank; null = nowhere.</summary>
    internal AttachedProcessFile? Holders { get; private set; }

    /// <summary>While the rank finds out what workers have kept of it since its host was killed; null when there is nothing to find out.</summary>
    internal RankRecovery? Recovery { get; private set; }

    /// <summary>
    /// Whether workers keep memory imported that their pool keeps, so that it maps again faster. On a GPU; in main memory an import is one more descriptor, and
    /// costs next to nothing.
    /// </summary>
    internal bool KeepsImports { get; set; } = pages.Backend == "cuda";

    /// <summary>For people: which workers are waited for before the rank does anything; null when it does. Read from any thread.</summary>
    public string? Awaited => Volatile.Read(ref _awaited);

    /// <summary>Commands of older epochs are refused.</summary>
    public Epoch HighestEpoch { get; internal set; }

    internal IReadOnlyDictionary<PoolId, RankPoolState> Pools => _pools;

    /// <summary>What left quarantine of late, to be told to the coordinator more than once.</summary>
    internal List<ClearedExtents> Cleared => _cleared;

    /// <summary>
    /// Keeps from now on who holds memory of this rank in that file, and begins with what it says: workers that live and held memory of a host before this one
    /// are waited for. To be called once, before any page mapper.
    /// </summary>
    /// <param name="holders">The file.</param>
    /// <param name="unseenWindow">How long a worker may take whose process can't be seen from here.</param>
    /// <param name="time">The clock.</param>
    /// <param name="problem">Why the host must not start, and what to do; null when it may.</param>
    /// <returns>Sentences for the log.</returns>
    public ImmutableArray<string> Recover(AttachedProcessFile holders, TimeSpan unseenWindow, TimeProvider time, out string? problem)
    {
        ArgumentNullException.ThrowIfNull(holders);
        problem = holders.Load(out var processes);
        if (problem is not null)
        {
            return [];
        }

        Holders = holders;
        Recovery = new RankRecovery(this, unseenWindow, time);
        var said = Recovery.Begin(processes);
        FollowRecovery();
        return said;
    }

    /// <summary>After each step of the recovery: ends it when nobody is waited for any more. True when it has just ended.</summary>
    internal bool FollowRecovery()
    {
        if (Recovery is not { } recovery)
        {
            return false;
        }

        if (!recovery.IsOver)
        {
            Volatile.Write(ref _awaited, recovery.Awaited);
            return false;
        }

        recovery.RestoreFloors();
        Recovery = null;
        Volatile.Write(ref _awaited, null);
        return true;
    }

    /// <summary>Writes down who may hold memory of this rank. Null, or why that failed.</summary>
    internal string? RecordHolders() => Holders?.Save(
    [
        .. _pools.Values.Where(p => p.Seat is { Worker: var worker } && worker != default).Select(p => new AttachedProcess(
            p.Replica.Pool, p.Replica.Rank, p.Replica.Spec, p.Replica.Owner, p.Replica.Epoch, p.Seat!.Worker, p.Seat.Process)),
    ]);

    internal void Add(RankPoolState pool) => _pools.Add(pool.Replica.Pool, pool);

    internal void Remove(PoolId pool)
    {
        _pools.Remove(pool);
        _cleared.RemoveAll(c => c.Pool == pool);
    }
}

/// <summary>Extents that left quarantine.</summary>
/// <param name="Pool">Their pool.</param>
/// <param name="Extents">The extents.</param>
/// <param name="TimesToTell">How often the coordinator is still told.</param>
internal readonly record struct ClearedExtents(PoolId Pool, ImmutableArray<Extent> Extents, int TimesToTell)
{
    /// <summary>The message has no answer, and may be lost.</summary>
    public const int TimesToTellAtFirst = 5;
}

/// <summary>One pool on this rank: its pages and its table.</summary>
/// <param name="Memory">The arena, where there is one, and the memory behind what is mapped.</param>
/// <param name="Replica">The table.</param>
/// <param name="Seat">The place of its worker; null where the host maps its pages.</param>
internal sealed record RankPoolState(RankPool Memory, PoolReplica Replica, WorkerSeat? Seat = null);
