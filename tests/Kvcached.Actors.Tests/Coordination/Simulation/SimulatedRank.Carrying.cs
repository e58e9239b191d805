using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Replication;

namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <content>What a rank does with commands.</content>
internal sealed partial class SimulatedRank
{
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
}
