using System.Collections.Immutable;
using Akka.Actor;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Protocols;

/// <summary>The conversation between the coordinator of a domain and its ranks (one per GPU).</summary>
public static class RankProtocol
{
    /// <summary>Coordinator to rank.</summary>
    public interface ICommand
    {
        Epoch Epoch { get; }
    }

    /// <summary>Rank to coordinator.</summary>
    public interface IReply
    {
        GpuId Gpu { get; }

        HostIncarnation Incarnation { get; }
    }

    /// <summary>
    /// A rank makes itself known; sent again until the coordinator answers, and from time to time after that, so that a new
    /// coordinator learns of it. Reply: <see cref="ReportRank"/>, or <see cref="RankRejected"/>.
    /// </summary>
    /// <param name="Gpu">Its GPU.</param>
    /// <param name="Incarnation">The life of its host.</param>
    /// <param name="Domain">Its domain.</param>
    /// <param name="Mapper">Where commands go.</param>
    /// <param name="CapacityBytes">What it may lend.</param>
    /// <param name="GranularityBytes">The smallest size and alignment that its driver maps.</param>
    /// <param name="Backend"><c>cuda</c> or <c>host</c>.</param>
    /// <param name="DeviceName">For people.</param>
    /// <param name="HighestEpoch">The highest epoch that it has seen.</param>
    public sealed record RegisterRank(
        GpuId Gpu, HostIncarnation Incarnation, string Domain, IActorRef Mapper, long CapacityBytes, long GranularityBytes,
        string Backend, string DeviceName, Epoch HighestEpoch) : IReply
    {
        /// <summary>True while it finds out what workers have kept since its host was killed: it holds memory, and can't say yet which.</summary>
        public bool IsRecovering { get; init; }

        /// <summary>For people: which workers it waits for then.</summary>
        public string Awaited { get; init; } = string.Empty;

        /// <summary>True while an operator has it drained. Its host's next life isn't.</summary>
        public bool IsDraining { get; init; }

        /// <summary>How its device is shared with others; null = nobody looks.</summary>
        public DeviceShare? Device { get; init; }

        /// <summary>Where a coordinator on the same machine finds it without Akka.Remote; null = nowhere.</summary>
        public LaneOffer? Lane { get; init; }
    }

    /// <summary>The coordinator takes the rank over: it must follow this epoch and say what it holds. Reply: <see cref="RankReported"/> or <see cref="EpochRefused"/>.</summary>
    public sealed record ReportRank(Epoch Epoch) : ICommand;

    /// <summary>The registration can't be accepted, for example because another living host has that GPU.</summary>
    public sealed record RankRejected(Epoch Epoch, Refusal Refusal) : ICommand;

    /// <summary>All that a rank holds.</summary>
    public sealed record RankReported(
        GpuId Gpu, HostIncarnation Incarnation, Epoch Epoch, ImmutableArray<RankPoolReport> Pools) : IReply
    {
        /// <summary>What an operator has laid down for pools, as far as this rank was told.</summary>
        public ImmutableArray<PoolPolicy> Policies { get; init; } = [];
    }

    /// <summary>
    /// What an operator has laid down for all pools of the domain, in place of what the rank was told before: it keeps it on disk, and follows its floors.
    /// Reply: <see cref="PoliciesKept"/> or <see cref="EpochRefused"/>.
    /// </summary>
    /// <param name="Epoch">The coordinator's epoch.</param>
    /// <param name="Version">Number of that state of affairs, rising in an epoch.</param>
    /// <param name="Policies">All policies.</param>
    public sealed record KeepPolicies(Epoch Epoch, long Version, ImmutableArray<PoolPolicy> Policies) : ICommand;

    /// <param name="Gpu">The rank's GPU.</param>
    /// <param name="Incarnation">The life of its host.</param>
    /// <param name="Epoch">Epoch of the command answered.</param>
    /// <param name="Version">Version of the command answered.</param>
    /// <param name="Problem">Why it isn't on the rank's disk; empty when it is.</param>
    public sealed record PoliciesKept(GpuId Gpu, HostIncarnation Incarnation, Epoch Epoch, long Version, string Problem) : IReply;

    /// <summary>
    /// An operator has the GPU drained, or not any more. Kept by the rank, so that a new coordinator knows; its next registration is the answer, or <see cref="EpochRefused"/>.
    /// </summary>
    public sealed record SetDraining(Epoch Epoch, bool IsDraining) : ICommand;

    /// <summary>The rank follows a newer epoch; whoever sent the older one must step down.</summary>
    public sealed record EpochRefused(GpuId Gpu, HostIncarnation Incarnation, Epoch Refused, Epoch Current) : IReply;

    /// <summary>
    /// Reserves a pool's arena on the rank and creates its floor; where it is open in that shape, only its owner becomes this one. Reply: <see cref="RankPoolAnswer"/> or <see cref="EpochRefused"/>.
    /// </summary>
    /// <param name="Epoch">The coordinator's epoch.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="Rank">Its rank on this GPU.</param>
    /// <param name="Spec">What was asked for.</param>
    /// <param name="Owner">The session that owns it, kept so that a later coordinator knows.</param>
    public sealed record OpenRankPool(Epoch Epoch, PoolId Pool, int Rank, PoolSpec Spec, SessionId Owner) : ICommand;

    /// <summary>Unmaps and releases all of a pool on the rank. Reply: <see cref="RankPoolAnswer"/> or <see cref="EpochRefused"/>.</summary>
    /// <param name="Epoch">The coordinator's epoch.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="Fence">The last engine step that uses it, as its engine said; a worker completes all that it has submitted in any case.</param>
    public sealed record CloseRankPool(Epoch Epoch, PoolId Pool, EngineStep Fence = default) : ICommand;

    /// <param name="Gpu">The rank's GPU.</param>
    /// <param name="Incarnation">The life of its host.</param>
    /// <param name="Epoch">Epoch of the command answered.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="IsOpen">True when the pool is open on the rank now.</param>
    /// <param name="Refusal">Why not; null when the command succeeded.</param>
    public sealed record RankPoolAnswer(
        GpuId Gpu, HostIncarnation Incarnation, Epoch Epoch, PoolId Pool, bool IsOpen, Refusal? Refusal) : IReply
    {
        /// <summary>The session that owns it there; default when it isn't open.</summary>
        public SessionId Owner { get; init; }
    }

    /// <summary>A decision to carry out. Reply: <see cref="Decided"/>.</summary>
    public sealed record Decide(Decision Decision) : ICommand
    {
        public Epoch Epoch => Decision.Epoch;
    }

    /// <summary>A decision to carry out, of which a span is recorded; else as <see cref="Decide"/>, which carries nothing more for those that aren't.</summary>
    public sealed record DecideTraced(Decision Decision, TraceLink Trace) : ICommand
    {
        public Epoch Epoch => Decision.Epoch;
    }

    /// <summary>
    /// The whole table of a pool, in place of the decisions up to <paramref name="Seq"/>: the rank unmaps what isn't in it and maps what is
    /// missing. Reply: <see cref="Decided"/> with that seq.
    /// </summary>
    /// <param name="Epoch">The coordinator's epoch.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="Seq">The decision that the table stands for.</param>
    /// <param name="Entries">The table.</param>
    /// <param name="Fence">The last engine step that used anything which isn't in the table any more.</param>
    public sealed record InstallTable(
        Epoch Epoch, PoolId Pool, long Seq, ImmutableArray<TableEntry> Entries, EngineStep Fence = default) : ICommand;

    /// <summary>A rank's answer to <see cref="Decide"/> or <see cref="InstallTable"/>.</summary>
    public sealed record Decided(DecisionAnswer Answer) : IReply
    {
        public GpuId Gpu => Answer.Gpu;

        public HostIncarnation Incarnation => Answer.Incarnation;
    }

    /// <summary>Extents that were quarantined on the rank are unmapped now. Said several times, since nobody acknowledges it.</summary>
    public sealed record QuarantineCleared(
        GpuId Gpu, HostIncarnation Incarnation, PoolId Pool, ImmutableArray<Extent> Extents) : IReply;

    /// <summary>The pool's worker on that rank has come or gone. Said several times, as it is at that moment, since nobody acknowledges it.</summary>
    public sealed record WorkerChanged(GpuId Gpu, HostIncarnation Incarnation, PoolId Pool, RankWorker Worker) : IReply;
}

/// <summary>A rank's private socket for coordinators of its machine.</summary>
/// <param name="BootId">The run of the machine that it is on.</param>
/// <param name="SocketPath">Path of the socket.</param>
/// <param name="EndedEpoch">
/// The last lane that has ended, and of which everything that came by it has been taken in: whatever is sent another way now comes after that. Counter 0 = none yet.
/// </param>
/// <param name="EndedSerial">Which of that epoch's lanes.</param>
public sealed record LaneOffer(string BootId, string SocketPath, Epoch EndedEpoch, long EndedSerial);

/// <summary>Whether a pool's worker is there that maps its pages on one rank.</summary>
public enum RankWorker : byte
{
    /// <summary>None has attached yet, or the pool needs none.</summary>
    None = 0,

    /// <summary>Attached, and it has the whole table mapped.</summary>
    Attached = 1,

    /// <summary>One was attached; it is gone or can't be reached, or is catching up.</summary>
    Gone = 2,
}

/// <summary>What a rank holds of one pool.</summary>
/// <param name="Pool">The pool.</param>
/// <param name="Rank">Its rank there.</param>
/// <param name="Spec">What was opened.</param>
/// <param name="Owner">The session that owns it.</param>
/// <param name="Epoch">Epoch of the last decision taken in.</param>
/// <param name="LastSeq">That decision.</param>
/// <param name="Entries">Its table.</param>
/// <param name="Quarantined">Extents that could not be unmapped yet.</param>
/// <param name="HighestGeneration">The highest generation that it has heard of, so that a new coordinator never gives one a second time.</param>
/// <param name="Fence">The latest fence that it has heard of: what it unmaps to follow a new coordinator's table was not used after that step.</param>
/// <param name="Worker">Whether its worker is attached.</param>
public sealed record RankPoolReport(
    PoolId Pool, int Rank, PoolSpec Spec, SessionId Owner, Epoch Epoch, long LastSeq, ImmutableArray<TableEntry> Entries, ImmutableArray<Extent> Quarantined,
    uint HighestGeneration, EngineStep Fence = default, RankWorker Worker = RankWorker.None);
