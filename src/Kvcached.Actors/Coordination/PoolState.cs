using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <summary>
/// All that the coordinator knows of one pool. Decisions of a pool go one after the other: the next one starts when every rank has
/// answered the last, so that there is one table, and one digest, to compare with at any time.
/// </summary>
internal sealed class PoolState
{
    private readonly GenerationCounter _generations = new();
    private readonly Dictionary<(int Group, int Page), TableEntry> _origins = [];
    private readonly HashSet<(SessionId Session, RequestId Request)> _inherited = [];
    private readonly Dictionary<GpuId, int> _rankOfGpu = [];

    public PoolState(PoolId id, PoolSpec spec, SessionId owner, PoolPhase phase, CoordinatorSettings settings)
    {
        Id = id;
        Spec = spec;
        Owner = owner;
        Phase = phase;
        var geometry = spec.Geometry;
        RankCount = geometry.Ranks.Length;
        Gpus = [.. geometry.Ranks.Select(r => r.Gpu)];
        foreach (var gpu in Gpus)
        {
            _rankOfGpu.TryAdd(gpu, _rankOfGpu.Count);
        }

        RanksInGpuOrder = [.. Enumerable.Range(0, RankCount).OrderBy(r => Gpus[r])];
        Layouts = [.. Enumerable.Range(0, RankCount).Select(r => ArenaLayout.Create(geometry, r))];
        PageIds = [.. geometry.VirtualPageCounts.Select((count, group) => new ExtentAllocator(group, count, _generations))];
        Table = new PageTable(geometry.VirtualPageCounts);
        Log = new DecisionLog(settings.MaxLoggedDecisions);
        Leaving = new LeavingExtents(RankCount);
        Workers = new WorkerView[RankCount];
        Progress = new RankProgress[RankCount];
        BytesPerPageId = [.. Enumerable.Range(0, PageIds.Length).Select(group => Layouts.Select(l => l.ShapeOf(group).BytesPerPageId).ToImmutableArray())];
    }

    public PoolId Id { get; }

    public PoolSpec Spec { get; }

    /// <summary>The session that owns it; default while it has none.</summary>
    public SessionId Owner { get; set; }

    /// <summary>For a pool that has lost its owner, how long another session may take it over; null while it has one.</summary>
    public TimeSpan? OrphanedUntil { get; set; }

    /// <summary>The latest fence of anything that has left the pool.</summary>
    public EngineStep Fence { get; private set; }

    /// <summary>For a pool that its engine closes, the last step that uses it.</summary>
    public EngineStep CloseFence { get; set; }

    /// <summary>By rank number; of no meaning where hosts map the pages.</summary>
    public WorkerView[] Workers { get; }

    /// <summary>True when the engine's workers map its pages.</summary>
    public bool NeedsWorkers => Spec.Target == PoolTarget.Worker;

    public PoolPhase Phase { get; set; }

    public int RankCount { get; }

    /// <summary>GPU of each rank.</summary>
    public ImmutableArray<GpuId> Gpus { get; }

    /// <summary>The ranks as they were known when last looked up; null before that.</summary>
    public PoolRanks? Ranks { get; set; }

    /// <summary>Rank numbers in the fixed order of GPUs in which memory is reserved.</summary>
    public ImmutableArray<int> RanksInGpuOrder { get; }

    public ImmutableArray<ArenaLayout> Layouts { get; }

    /// <summary>Bytes that one page id takes, by KV group and rank.</summary>
    public ImmutableArray<ImmutableArray<long>> BytesPerPageId { get; }

    /// <summary>Page ids of each KV group.</summary>
    public ImmutableArray<ExtentAllocator> PageIds { get; }

    /// <summary>What is mapped on every rank.</summary>
    public PageTable Table { get; }

    public DecisionLog Log { get; }

    /// <summary>Last decision of this epoch.</summary>
    public long Seq { get; set; }

    public Flight? Flight { get; set; }

    public Queue<PendingFree> Frees { get; } = new();

    public LinkedList<PendingAllocation> Allocations { get; } = new();

    public LeavingExtents Leaving { get; }

    /// <summary>How far each rank has come; every decision goes through all of them.</summary>
    public RankProgress[] Progress { get; }

    /// <summary>Extents without a used block, as the engine last said.</summary>
    public ImmutableArray<IdleExtent> Warm { get; set; } = [];

    /// <summary>When the last warm report came in.</summary>
    public TimeSpan WarmReportedAt { get; set; }

    /// <summary>True when it held more than its limit on some GPU when that was last looked at.</summary>
    public bool IsAboveLimit { get; set; }

    /// <summary>It isn't asked to shrink before that.</summary>
    public TimeSpan ShrinkPausedUntil { get; set; }

    /// <summary>The request that is answered when the pool is open, or closed; null when nobody waits.</summary>
    public EngineProtocol.IRequest? Opener { get; set; }

    /// <summary>Why not all ranks opened it; null unless it is closed for that.</summary>
    public Refusal? OpenRefusal { get; set; }

    /// <summary>When opening, closing or recovering must be over.</summary>
    public TimeSpan PhaseDeadlineAt { get; set; }

    /// <summary>Ranks that must still answer for the present phase to end.</summary>
    public RankSet PhaseAwaiting { get; set; } = RankSet.Empty(1);

    /// <summary>Ranks whose host has ended and is to come back, by rank number.</summary>
    public SortedDictionary<int, AwaitedHost> AwaitedHosts { get; } = [];

    /// <summary>What its owner is told of its loss; null while nothing of it is lost.</summary>
    public Refusal? Loss { get; set; }

    /// <summary>When its owner was last told.</summary>
    public TimeSpan AnnouncedAt { get; set; }

    /// <summary>True when it is lost, and its owner hasn't closed it in time.</summary>
    public bool IsOverdue { get; set; }

    /// <summary>What each rank reported to a new coordinator.</summary>
    public Dictionary<int, RankPoolReport> Reports { get; } = [];

    /// <summary>False while its owner may never have heard of it, or may have been told that it is gone.</summary>
    public bool IsKnownToOwner { get; set; } = true;

    /// <summary>Mapped extents of which its engine may not know.</summary>
    public UnconfirmedExtents Unconfirmed { get; } = new();

    public bool IsWaitingForMemory { get; set; }

    /// <summary>Number of the rank on that GPU; -1 when it isn't one of the pool's.</summary>
    public int RankOf(GpuId gpu) => _rankOfGpu.TryGetValue(gpu, out var rank) ? rank : -1;

    /// <summary>Bytes that the extents take on one rank.</summary>
    public long BytesOn(int rank, ImmutableArray<Extent> extents)
    {
        var bytes = 0L;
        foreach (var extent in extents)
        {
            bytes += Layouts[rank].BytesOf(extent);
        }

        return bytes;
    }

    /// <summary>Adds what a decision granted to the table.</summary>
    public void Enter(Decision decision)
    {
        foreach (var extent in decision.Extents)
        {
            Table.Add(extent);
            _origins[(extent.Group, extent.First.Value)] = new TableEntry(extent, decision.Session, decision.Request);
        }
    }

    /// <summary>Puts an extent that ranks reported back into the table.</summary>
    public void Restore(in TableEntry entry)
    {
        Table.Add(entry.Extent);
        _origins[(entry.Extent.Group, entry.Extent.First.Value)] = entry;
        _inherited.Add((entry.Session, entry.Request));
    }

    /// <summary>Takes extents out of the table; every rank holds them until it says otherwise.</summary>
    public void Leave(ImmutableArray<Extent> extents)
    {
        foreach (var extent in extents)
        {
            Table.Remove(extent);
            _origins.Remove((extent.Group, extent.First.Value));
            Leaving.Add(extent);
        }
    }

    /// <summary>The request that is answered now; nobody waits any more.</summary>
    public EngineProtocol.IRequest? TakeOpener()
    {
        var opener = Opener;
        Opener = null;
        return opener;
    }

    public bool Holds(in Extent extent) =>
        _origins.TryGetValue((extent.Group, extent.First.Value), out var entry) && entry.Extent == extent;

    public void Honour(EngineStep fence) => Fence = EngineStep.Later(Fence, fence);

    /// <summary>Generations go on above that one.</summary>
    public void RaiseGenerationsTo(uint generation) => _generations.RaiseTo(generation);

    /// <summary>
    /// What an earlier coordinator granted to that request and is still mapped: the answer to a retry that this one never saw. What this
    /// one grants its sessions remember.
    /// </summary>
    public ImmutableArray<Extent> InheritedBy(SessionId session, RequestId request) => _inherited.Contains((session, request))
        ? [.. _origins.Values.Where(e => e.Session == session && e.Request == request).Select(e => e.Extent)]
        : [];

    /// <summary>The request of its owner that the extent was granted to; default when there is none that may still wait for its answer.</summary>
    public RequestId RequestOf(in Extent extent) =>
        _origins.TryGetValue((extent.Group, extent.First.Value), out var entry) && entry.Extent == extent && entry.Session == Owner ? entry.Request : default;

    public ImmutableArray<TableEntry> Entries() => [.. _origins.Values];

    /// <param name="Since">When the host was found to have ended.</param>
    /// <param name="Until">When it must have made itself known again.</param>
    internal readonly record struct AwaitedHost(TimeSpan Since, TimeSpan Until);

    /// <summary>The worker of one rank, as its rank tells.</summary>
    internal struct WorkerView
    {
        public RankWorker Standing { get; set; }

        /// <summary>Since when it has been gone; null while it is attached, or none has been.</summary>
        public TimeSpan? GoneAt { get; set; }
    }

    /// <summary>How far one rank has come.</summary>
    internal struct RankProgress
    {
        /// <summary>The rank has answered every decision up to this one.</summary>
        public long AnsweredThrough { get; set; }

        /// <summary>When something unanswered was last sent to it.</summary>
        public TimeSpan SentAt { get; set; }

        /// <summary>
        /// Takes note of an answer. One that overtakes a lost one doesn't count: the lost one would never be asked for again, nor what
        /// it says about quarantine.
        /// </summary>
        public void Answered(long seq) => AnsweredThrough += seq == AnsweredThrough + 1 ? 1 : 0;
    }
}
