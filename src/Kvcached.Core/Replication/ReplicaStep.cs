using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Replication;

/// <summary>What a rank must do about a decision.</summary>
public enum ReplicaAction : byte
{
    /// <summary>Nothing: the answer stands already.</summary>
    Answer = 1,

    /// <summary>Map <see cref="ReplicaStep.Extents"/>, then call <see cref="PoolReplica.Mapped"/> or <see cref="PoolReplica.MapRefused"/>.</summary>
    Map = 2,

    /// <summary>Unmap <see cref="ReplicaStep.Extents"/>, then call <see cref="PoolReplica.Unmapped"/>.</summary>
    Unmap = 3,
}

/// <param name="Action">What to do.</param>
/// <param name="Extents">With which extents; may be empty.</param>
/// <param name="Standing">The answer, for <see cref="ReplicaAction.Answer"/>.</param>
public readonly record struct ReplicaStep(ReplicaAction Action, ImmutableArray<Extent> Extents, ReplicaAnswer Standing);

/// <summary>The part of a rank's answer that follows from its table alone.</summary>
/// <param name="Outcome">How it went.</param>
/// <param name="Digest">Digest over the table after it.</param>
/// <param name="Refusal">Why a map was refused; else null.</param>
/// <param name="Quarantined">Extents that could not be unmapped.</param>
public readonly record struct ReplicaAnswer(
    DecisionOutcome Outcome, LayoutDigest Digest, Refusal? Refusal, ImmutableArray<Extent> Quarantined);
