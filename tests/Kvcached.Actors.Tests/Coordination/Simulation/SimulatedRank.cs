using System.Collections.Immutable;
using Akka.Actor;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Replication;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <summary>A rank with pretended memory: a copy of each pool's table, and a set of extents that are really mapped or stuck.</summary>
internal sealed class SimulatedRank(GpuId gpu, long capacityBytes)
{
    private readonly List<(PoolId Pool, ImmutableArray<Extent> Extents, int TimesToTell)> _cleared = [];

    public GpuId Gpu { get; } = gpu;

    public HostIncarnation Incarnation { get; private set; } = new(1);

    public Epoch HighestEpoch { get; private set; }

    public long CapacityBytes { get; } = capacityBytes;

    public string Domain { get; init; } = SimulatedDomain.Name;

    public Dictionary<PoolId, Pool> Pools { get; } = [];

    /// <summary>How many of the next maps are refused.</summary>
    public int RefusesMaps { get; set; }

    /// <summary>How many of the next extents can't be unmapped at first.</summary>
    public int SticksOn { get; set; }

    /// <summary>True while stuck extents stay stuck.</summary>
    public bool StaysStuck { get; set; }

    /// <summary>How many of the next answers show a digest that isn't the expected one.</summary>
    public int ShowsWrongDigests { get; set; }

    public Refusal? RefusesToOpen { get; set; }

    /// <summary>Pages that something else takes on this device, unknown to the coordinator.</summary>
    public long BytesTakenByOthers { get; set; }

    public long MappedBytes => Pools.Values.Sum(p => p.Bytes(p.Mapped));

    public long QuarantinedBytes => Pools.Values.Sum(p => p.Bytes(p.Quarantined));

    /// <summary>What is on its disk of operators' policies.</summary>
    public ImmutableArray<PoolPolicy> Policies { get; private set; } = [];

    /// <summary>True while its disk is full.</summary>
    public bool KeepsNothing { get; set; }

    /// <summary>True while its host is dead: it hears nothing and says nothing.</summary>
    public bool IsDown { get; private set; }

    /// <summary>True while workers that outlived its host haven't handed over what they keep: it does nothing yet.</summary>
    public bool IsRecovering { get; private set; }

    public RankProtocol.RegisterRank Registration => new(
        Gpu, Incarnation, Domain, ActorRefs.Nobody, CapacityBytes, TestPools.PageBytes, "host", "simulated", HighestEpoch)
    {
        IsRecovering = IsRecovering,
        Awaited = IsRecovering ? "the workers" : string.Empty,
    };

    /// <summary>The host is killed. What living workers have mapped is kept by them; all else is gone.</summary>
    public void Kill()
    {
        IsDown = true;
        IsRecovering = false;
        _cleared.Clear();
        foreach (var (id, pool) in Pools.ToArray())
        {
            if (pool.IsWorkerAlive)
            {
                Pools[id] = pool.Kept();
            }
            else
            {
                Pools.Remove(id);
            }
        }
    }

    /// <summary>The next life of a host that was killed: it waits for the workers that keep its memory.</summary>
    public void Revive()
    {
        IsDown = false;
        IsRecovering = Pools.Count > 0;
        Incarnation = new HostIncarnation(Incarnation.Value + 1);
    }

    /// <summary>A worker that was to hand over what it keeps has ended: its memory is gone.</summary>
    public void EndKeeper(PoolId pool)
    {
        if (IsDown || IsRecovering)
        {
            Pools.Remove(pool);
        }
    }

    /// <summary>Every worker has handed over, or has ended.</summary>
    public void Recover()
    {
        IsRecovering = false;
        foreach (var pool in Pools.Values)
        {
            pool.Worker = RankWorker.Attached;
            pool.IsWorkerOutOfReach = false;
        }
    }

    /// <summary>The host ends and another one starts: everything is gone.</summary>
    public void Restart()
    {
        IsDown = IsRecovering = false;
        Incarnation = new HostIncarnation(Incarnation.Value + 1);
        Pools.Clear();
        _cleared.Clear();
        HighestEpoch = default;
    }

    /// <summary>Its answer; null while it can't give any.</summary>
    public RankProtocol.IReply? Handle(RankProtocol.ICommand command)
    {
        if (IsDown || IsRecovering)
        {
            return null;
        }

        if (command.Epoch > HighestEpoch)
        {
            HighestEpoch = command.Epoch;
        }

        var isStale = command.Epoch < HighestEpoch;
        return command switch
        {
            RankProtocol.Decide { Decision: var d } when isStale => Answer(d.Pool, HighestEpoch, d.Seq, 0, new ReplicaAnswer(DecisionOutcome.StaleEpoch, default, null, [])),
            RankProtocol.InstallTable i when isStale => Answer(i.Pool, HighestEpoch, i.Seq, 0, new ReplicaAnswer(DecisionOutcome.StaleEpoch, default, null, [])),
            _ when isStale => new RankProtocol.EpochRefused(Gpu, Incarnation, command.Epoch, HighestEpoch),
            RankProtocol.ReportRank report => Report(report.Epoch),
            RankProtocol.OpenRankPool open => Open(open),
            RankProtocol.KeepPolicies keep => Keep(keep),
            RankProtocol.CloseRankPool close => Close(close),
            RankProtocol.Decide { Decision: var d } => Pools.TryGetValue(d.Pool, out var pool)
                ? Answer(d.Pool, pool.Replica.Epoch, d.Seq, null, Carry(pool, d))
                : Answer(d.Pool, d.Epoch, d.Seq, 0, new ReplicaAnswer(DecisionOutcome.NeedsTable, default, null, [])),
            RankProtocol.InstallTable install => Install(install),
            _ => throw new InvalidOperationException($"{command} is no command for a rank."),
        };
    }

    /// <summary>Tries what is stuck again.</summary>
    public IEnumerable<RankProtocol.QuarantineCleared> Housekeep()
    {
        foreach (var pool in Pools.Values.Where(p => p.Quarantined.Count > 0 && !StaysStuck && !p.IsWorkerOutOfReach))
        {
            _cleared.Add((pool.Replica.Pool, [.. pool.Quarantined], 3));
            pool.Quarantined.Clear();
        }

        var told = _cleared.ToArray();
        _cleared.Clear();
        _cleared.AddRange(told.Where(c => c.TimesToTell > 1).Select(c => c with { TimesToTell = c.TimesToTell - 1 }));
        return told.Select(c => new RankProtocol.QuarantineCleared(Gpu, Incarnation, c.Pool, c.Extents));
    }

    /// <summary>Whether workers are attached; said again and again.</summary>
    public IEnumerable<RankProtocol.WorkerChanged> WorkerNews() =>
        Pools.Values.Where(p => p.NeedsWorker).Select(p => new RankProtocol.WorkerChanged(Gpu, Incarnation, p.Replica.Pool, p.Worker));

    private RankProtocol.RankReported Report(Epoch epoch) => new(Gpu, Incarnation, epoch,
    [
        .. Pools.Values.Select(p => new RankPoolReport(
            p.Replica.Pool, p.Replica.Rank, p.Replica.Spec, p.Replica.Owner, p.Replica.Epoch, p.Replica.LastSeq, p.Replica.Entries,
            [.. p.Quarantined], p.Replica.HighestGeneration, p.Replica.Fence, p.Worker)),
    ])
    {
        Policies = Policies,
    };

    private RankProtocol.PoliciesKept Keep(RankProtocol.KeepPolicies keep)
    {
        Policies = KeepsNothing ? Policies : keep.Policies;
        return new RankProtocol.PoliciesKept(Gpu, Incarnation, keep.Epoch, keep.Version, KeepsNothing ? "its disk is full" : string.Empty);
    }

    private RankProtocol.RankPoolAnswer Open(RankProtocol.OpenRankPool open)
    {
        if (RefusesToOpen is { } refusal)
        {
            return new RankProtocol.RankPoolAnswer(Gpu, Incarnation, open.Epoch, open.Pool, false, refusal);
        }

        if (!Pools.TryGetValue(open.Pool, out var pool))
        {
            pool = new Pool(new PoolReplica(open.Pool, open.Rank, open.Spec, open.Owner, open.Epoch));
            Pools.Add(open.Pool, pool);
        }

        pool.Replica.Owner = open.Owner;
        return new RankProtocol.RankPoolAnswer(Gpu, Incarnation, open.Epoch, open.Pool, true, null) { Owner = open.Owner };
    }

    private RankProtocol.RankPoolAnswer Close(RankProtocol.CloseRankPool close)
    {
        Pools.Remove(close.Pool);
        return new RankProtocol.RankPoolAnswer(Gpu, Incarnation, close.Epoch, close.Pool, false, null);
    }

    private ReplicaAnswer Carry(Pool pool, Decision decision)
    {
        var step = pool.Replica.Judge(decision);
        switch (step.Action)
        {
            case ReplicaAction.Map when pool.NeedsWorker && pool.Worker != RankWorker.Attached:
                return pool.Replica.MapRefused(decision, new Refusal(RefusalReason.NotAttached, $"{Gpu} has no worker."));
            case ReplicaAction.Map when TryMap(pool, step.Extents, out var refusal):
                return pool.Replica.Mapped(decision);
            case ReplicaAction.Map:
                return pool.Replica.MapRefused(decision, Refused());
            case ReplicaAction.Unmap:
                Unmap(pool, step.Extents);
                return pool.Replica.Unmapped(decision, [.. decision.Extents.Where(pool.Quarantined.Contains)]);
            default:
                return step.Standing;
        }
    }

    private RankProtocol.Decided Install(RankProtocol.InstallTable install)
    {
        if (!Pools.TryGetValue(install.Pool, out var pool))
        {
            return Answer(install.Pool, install.Epoch, install.Seq, 0, new ReplicaAnswer(
                DecisionOutcome.Refused, default, new Refusal(RefusalReason.UnknownPool, "Not here."), []));
        }

        var replica = pool.Replica;
        if (replica.Epoch == install.Epoch && install.Seq <= replica.LastSeq)
        {
            return Answer(install.Pool, replica.Epoch, install.Seq, null, replica.AnswerOf(install.Seq));
        }

        var (unmap, map) = replica.PlanInstall(install.Entries);
        replica.Honour(install.Fence);
        Unmap(pool, unmap);
        var answer = TryMap(pool, map, out _)
            ? replica.Installed(install.Epoch, install.Seq, install.Entries, [.. pool.Quarantined])
            : replica.InstallFailed(install.Epoch, install.Seq, unmap, Refused());
        return Answer(install.Pool, replica.Epoch, install.Seq, null, answer);
    }

    private bool TryMap(Pool pool, ImmutableArray<Extent> extents, out Refusal? refusal)
    {
        refusal = null;
        foreach (var extent in extents)
        {
            if (pool.Mapped.Concat(pool.Quarantined).FirstOrDefault(e => e.Overlaps(extent)) is { Generation: > 0 } other)
            {
                throw new BrokenRuleException($"{Gpu} is to map {extent} of {pool.Replica.Pool} over {other}.");
            }
        }

        if (!extents.IsEmpty && RefusesMaps > 0)
        {
            RefusesMaps--;
            return false;
        }

        if (MappedBytes + QuarantinedBytes + pool.Bytes(extents) > CapacityBytes - BytesTakenByOthers)
        {
            return false;
        }

        pool.Mapped.UnionWith(extents);
        return true;
    }

    private void Unmap(Pool pool, ImmutableArray<Extent> extents)
    {
        foreach (var extent in extents)
        {
            if (!pool.Mapped.Remove(extent) && !pool.Quarantined.Contains(extent))
            {
                continue;
            }

            if (SticksOn > 0 || pool.IsWorkerOutOfReach)
            {
                SticksOn = Math.Max(0, SticksOn - 1);
                pool.Quarantined.Add(extent);
            }
            else if (!StaysStuck)
            {
                pool.Quarantined.Remove(extent);
            }
        }
    }

    private Refusal Refused() => new(RefusalReason.OutOfMemory, $"{Gpu} has no more.");

    private RankProtocol.Decided Answer(PoolId pool, Epoch epoch, long seq, long? lastSeq, ReplicaAnswer answer)
    {
        var digest = answer.Digest;
        if (answer.Outcome == DecisionOutcome.Applied && ShowsWrongDigests > 0)
        {
            ShowsWrongDigests--;
            digest = digest.With(new Extent(0, new PageId(0), 0, uint.MaxValue));
        }

        return new RankProtocol.Decided(new DecisionAnswer(
            pool, epoch, seq, lastSeq ?? Pools[pool].Replica.LastSeq, Gpu, Incarnation, answer.Outcome, digest, answer.Refusal, answer.Quarantined, 0));
    }

    /// <summary>One pool on this rank.</summary>
    internal sealed class Pool(PoolReplica replica)
    {
        private readonly ArenaLayout _layout = ArenaLayout.Create(replica.Spec.Geometry, replica.Rank);

        public PoolReplica Replica { get; } = replica;

        public HashSet<Extent> Mapped { get; } = [];

        public HashSet<Extent> Quarantined { get; } = [];

        public bool NeedsWorker => Replica.Spec.Target == PoolTarget.Worker;

        public RankWorker Worker { get; set; }

        /// <summary>Its worker lives, may write to all that it has mapped, and can't be told to unmap it.</summary>
        public bool IsWorkerOutOfReach { get; set; }

        public bool IsWorkerAlive => NeedsWorker && (Worker == RankWorker.Attached || IsWorkerOutOfReach);

        /// <summary>What a worker keeps of the pool when its host dies: whatever it has mapped, of which nobody knows whose request it was.</summary>
        public Pool Kept()
        {
            var replica = new PoolReplica(Replica.Pool, Replica.Rank, Replica.Spec, Replica.Owner, default);
            ImmutableArray<Extent> held = [.. Mapped, .. Quarantined];
            if (Replica.HighestGeneration > 0)
            {
                // The worker hands over the highest generation that it has mapped, too; a replica hears of it by a table.
                replica.Installed(default, 0, [new TableEntry(new Extent(0, new PageId(0), 0, Replica.HighestGeneration), default, default)], []);
            }

            replica.Installed(default, 0, [.. held.Select(e => new TableEntry(e, default, default))], []);
            var kept = new Pool(replica) { Worker = RankWorker.Gone, IsWorkerOutOfReach = true };
            kept.Mapped.UnionWith(held);
            return kept;
        }

        public long Bytes(IEnumerable<Extent> extents) => extents.Sum(e => _layout.BytesOf(e));
    }
}
