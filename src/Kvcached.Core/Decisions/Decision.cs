using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Decisions;

/// <summary>What a decision does to the layout of its pool.</summary>
public enum DecisionKind : byte
{
    /// <summary>Maps the extents on every rank, or on none.</summary>
    Map = 1,

    /// <summary>Unmaps the extents on every rank; rolls forward only.</summary>
    Unmap = 2,

    /// <summary>Undoes a map that didn't succeed on all ranks, and refuses it where it hasn't arrived yet.</summary>
    Abort = 3,
}

/// <summary>
/// One step in the life of a pool's layout, decided once by the coordinator and carried out by every rank of the pool.
/// </summary>
/// <param name="Pool">The pool.</param>
/// <param name="Epoch">Epoch of the coordinator that decided.</param>
/// <param name="Seq">Number of the decision in this pool and epoch, from 1 without gaps; every one goes to every rank.</param>
/// <param name="Kind">What to do.</param>
/// <param name="Extents">The extents it is about.</param>
/// <param name="AbortedSeq">For <see cref="DecisionKind.Abort"/>, the map that is undone; else 0.</param>
/// <param name="Session">Session whose request it answers; kept with mapped extents so that a later coordinator can answer a retry.</param>
/// <param name="Request">That request.</param>
/// <param name="AckedThrough">The session has seen the answers to all its requests up to this one; ranks may forget them.</param>
/// <param name="Fence">For <see cref="DecisionKind.Unmap"/>, the engine step that a worker must have completed before it unmaps.</param>
public sealed record Decision(
    PoolId Pool,
    Epoch Epoch,
    long Seq,
    DecisionKind Kind,
    ImmutableArray<Extent> Extents,
    long AbortedSeq,
    SessionId Session,
    RequestId Request,
    RequestId AckedThrough,
    EngineStep Fence)
{
    public override string ToString() => $"{Kind} {Pool} {Epoch}/{Seq} ({Extents.Length} extents)";
}

/// <summary>How a rank answered a decision.</summary>
public enum DecisionOutcome : byte
{
    /// <summary>Carried out; the digest is that of the rank's table after it.</summary>
    Applied = 1,

    /// <summary>A map that could not be carried out; the rank's table is as before, and the sequence number is used up.</summary>
    Refused = 2,

    /// <summary>Earlier decisions are missing; the rank has applied up to <see cref="DecisionAnswer.LastSeq"/>.</summary>
    Gap = 3,

    /// <summary>The rank follows a newer epoch, <see cref="DecisionAnswer.Epoch"/>; the sender must step down.</summary>
    StaleEpoch = 4,

    /// <summary>The rank doesn't have this pool, or not in this epoch; it needs the whole table.</summary>
    NeedsTable = 5,
}

/// <summary>A rank's answer to one decision.</summary>
/// <param name="Pool">The pool.</param>
/// <param name="Epoch">Epoch that the rank follows.</param>
/// <param name="Seq">The decision answered.</param>
/// <param name="LastSeq">Last decision that the rank has taken in.</param>
/// <param name="Gpu">The rank's GPU.</param>
/// <param name="Incarnation">The life of the rank's host that answers.</param>
/// <param name="Outcome">How it went.</param>
/// <param name="Digest">Digest over the rank's table after it.</param>
/// <param name="Refusal">Why a map was refused; else null.</param>
/// <param name="Quarantined">Extents that are logically unmapped but could not be unmapped yet.</param>
/// <param name="DriverMicroseconds">Time spent in mapping calls.</param>
public sealed record DecisionAnswer(
    PoolId Pool,
    Epoch Epoch,
    long Seq,
    long LastSeq,
    GpuId Gpu,
    HostIncarnation Incarnation,
    DecisionOutcome Outcome,
    LayoutDigest Digest,
    Refusal? Refusal,
    ImmutableArray<Extent> Quarantined,
    double DriverMicroseconds);
