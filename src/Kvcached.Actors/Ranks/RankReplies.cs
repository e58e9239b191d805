using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Replication;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Ranks;

/// <summary>Puts answers into messages that carry this rank's name.</summary>
internal sealed class RankReplies(RankState state)
{
    /// <summary>Remembers the highest epoch; true for an older one.</summary>
    public bool IsStale(Epoch epoch)
    {
        if (epoch > state.HighestEpoch)
        {
            state.HighestEpoch = epoch;
        }

        return epoch < state.HighestEpoch;
    }

    public RankProtocol.EpochRefused Stale(Epoch epoch) => new(state.Pages.Gpu, state.Pages.Incarnation, epoch, state.HighestEpoch);

    public RankProtocol.RankPoolAnswer Answer(Epoch epoch, PoolId pool, bool isOpen, Refusal? refusal) =>
        new(state.Pages.Gpu, state.Pages.Incarnation, epoch, pool, isOpen, refusal)
        {
            Owner = state.Pools.TryGetValue(pool, out var known) ? known.Replica.Owner : default,
        };

    public RankProtocol.Decided Decided(RankPoolState pool, long seq, ReplicaAnswer answer, double microseconds) =>
        Decided(pool.Replica.Pool, pool.Replica.Epoch, seq, pool.Replica.LastSeq, answer, microseconds);

    public RankProtocol.Decided Decided(PoolId pool, Epoch epoch, long seq, long lastSeq, ReplicaAnswer answer, double microseconds) => new(new DecisionAnswer(
        pool, epoch, seq, lastSeq, state.Pages.Gpu, state.Pages.Incarnation, answer.Outcome, answer.Digest, answer.Refusal, answer.Quarantined, microseconds));

    public static ImmutableArray<Extent> QuarantinedIn(RankPool memory) => [.. memory.QuarantinedExtents.Select(q => q.Extent)];

    /// <summary>Of these extents, those that are quarantined.</summary>
    public static ImmutableArray<Extent> QuarantinedIn(RankPool memory, ImmutableArray<Extent> extents)
    {
        var quarantined = memory.QuarantinedExtents;
        return quarantined.IsEmpty ? [] : [.. quarantined.Select(q => q.Extent).Where(extents.Contains)];
    }
}
