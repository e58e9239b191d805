using System.Collections.Immutable;

namespace Kvcached.Actors.Coordination;

/// <summary>
/// What the coordinator knows of one pool's ranks, looked up once and kept until a rank comes or goes: every decision asks about all of them.
/// </summary>
internal sealed class PoolRanks
{
    /// <summary>Counts changes of the domain's ranks; this is how they were at that count.</summary>
    public required long Version { get; init; }

    /// <summary>By rank number; null for one that isn't known.</summary>
    public required ImmutableArray<RankView?> Views { get; init; }

    /// <summary>Order of the largest extent that the pool may have, by KV group.</summary>
    public required ImmutableArray<byte> LargestOrders { get; init; }
}
