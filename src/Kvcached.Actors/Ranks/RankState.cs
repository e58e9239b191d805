using System.Collections.Immutable;
using Kvcached.Actors.Workers;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Replication;
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

    public PagePool Pages { get; } = pages;

    /// <summary>The engine workers that map pages of this rank; what the engine gateway tells of them goes there.</summary>
    public WorkerRegistry Workers { get; } = new();

    /// <summary>Commands of older epochs are refused.</summary>
    public Epoch HighestEpoch { get; internal set; }

    internal IReadOnlyDictionary<PoolId, RankPoolState> Pools => _pools;

    /// <summary>What left quarantine of late, to be told to the coordinator more than once.</summary>
    internal List<ClearedExtents> Cleared => _cleared;

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
