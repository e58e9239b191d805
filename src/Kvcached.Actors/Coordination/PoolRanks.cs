using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Coordination;

/// <summary>
/// What the coordinator knows of one pool's ranks, looked up once and kept until one comes, goes or changes: every decision asks about all of them.
/// </summary>
internal sealed class PoolRanks
{
    /// <summary>Counts changes of the domain's ranks, of whether they can be reached, too; this is how they were at that count.</summary>
    public required long Version { get; init; }

    /// <summary>By rank number; null for one that isn't known.</summary>
    public required ImmutableArray<RankView?> Views { get; init; }

    /// <summary>The pool's account on each rank's GPU, by rank number; null where it has none.</summary>
    public required ImmutableArray<LedgerAccount?> Accounts { get; init; }

    /// <summary>The first rank that can't be reached or hasn't reported; null when all can serve.</summary>
    public required GpuId? Unavailable { get; init; }

    /// <summary>The first rank that is being drained; null when none is.</summary>
    public required GpuId? Draining { get; init; }

    /// <summary>Order of the largest extent that the pool may have, by KV group.</summary>
    public required ImmutableArray<byte> LargestOrders { get; init; }
}
