using System.Collections.Immutable;
using Akka.Actor;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Replication;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <summary>A rank with pretended memory: a copy of each pool's table, and a set of extents that are really mapped or stuck.</summary>
internal sealed partial class SimulatedRank(GpuId gpu, long capacityBytes)
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

    /// <summary>How its device is shared with others, as it says.</summary>
    public DeviceShare? Device { get; set; }

    /// <summary>True while it was told that it is drained.</summary>
    public bool IsDraining { get; private set; }

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
        Device = Device,
        IsDraining = IsDraining,
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
        IsDown = IsDraining = false;
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
        IsDown = IsRecovering = IsDraining = false;
        Incarnation = new HostIncarnation(Incarnation.Value + 1);
        Pools.Clear();
        _cleared.Clear();
        HighestEpoch = default;
    }

    private RankProtocol.RegisterRank Drain(bool isDraining)
    {
        IsDraining = isDraining;
        return Registration;
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
            RankProtocol.SetDraining draining => Drain(draining.IsDraining),
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
}
