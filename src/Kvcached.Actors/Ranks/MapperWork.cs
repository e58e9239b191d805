using System.Collections.Immutable;
using System.Diagnostics;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Replication;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Ranks;

/// <summary>What the page mapper does, without the actor: checks epochs, carries decisions out on the page pool, and makes the answers.</summary>
internal sealed class MapperWork(RankState state)
{
    /// <summary>How often the coordinator is told that extents left quarantine: the message has no answer, and may be lost.</summary>
    private const int TimesToTellCleared = 5;

    public RankProtocol.IReply Report(RankProtocol.ReportRank command)
    {
        var pages = state.Pages;
        if (IsStale(command.Epoch))
        {
            return Stale(command.Epoch);
        }

        return new RankProtocol.RankReported(pages.Gpu, pages.Incarnation, command.Epoch,
        [
            .. state.Pools.Values.Select(pool => new RankPoolReport(
                pool.Replica.Pool, pool.Replica.Rank, pool.Replica.Spec, pool.Replica.Owner, pool.Replica.Epoch, pool.Replica.LastSeq,
                pool.Replica.Entries, QuarantinedIn(pool.Memory), pool.Replica.HighestGeneration, pool.Replica.Fence)),
        ]);
    }

    public RankProtocol.IReply Open(RankProtocol.OpenRankPool command)
    {
        if (IsStale(command.Epoch))
        {
            return Stale(command.Epoch);
        }

        if (state.Pools.TryGetValue(command.Pool, out var known))
        {
            var isSame = known.Replica.Rank == command.Rank && known.Replica.Spec == command.Spec;
            known.Replica.Owner = isSame ? command.Owner : known.Replica.Owner;
            return Answer(command.Epoch, command.Pool, isSame, isSame
                ? null
                : new Refusal(RefusalReason.NameInUse, $"{command.Pool} is open on {state.Pages.Gpu} with another shape."));
        }

        switch (state.Pages.Open(command.Pool, command.Spec.Geometry, command.Rank, command.Spec.FloorBytes))
        {
            case OpenRankPoolResult.Opened opened:
                state.Add(new RankPoolState(opened.Pool, new PoolReplica(command.Pool, command.Rank, command.Spec, command.Owner, command.Epoch)));
                return Answer(command.Epoch, command.Pool, true, null);
            case OpenRankPoolResult.Refused refused:
                return Answer(command.Epoch, command.Pool, false, RankRefusals.Of(refused));
            default:
                throw new UnreachableException();
        }
    }

    public RankProtocol.IReply Close(RankProtocol.CloseRankPool command)
    {
        if (IsStale(command.Epoch))
        {
            return Stale(command.Epoch);
        }

        if (state.Pages.Close(command.Pool) is CloseResult.Incomplete incomplete)
        {
            // It stays open with what is left; the coordinator asks again.
            return Answer(command.Epoch, command.Pool, true, new Refusal(RefusalReason.DriverFailed, incomplete.Text));
        }

        state.Remove(command.Pool);
        return Answer(command.Epoch, command.Pool, false, null);
    }

    /// <summary>What the decision would unmap, if it is one that unmaps and comes at its turn.</summary>
    public ImmutableArray<Extent> ExtentsToUnmap(Decision decision) =>
        decision.Kind != DecisionKind.Map && state.Pools.TryGetValue(decision.Pool, out var pool) && pool.Replica.Epoch == decision.Epoch
            ? [.. decision.Extents.Where(e => pool.Replica.Table.Contains(e))]
            : [];

    public ImmutableArray<Extent> ExtentsToUnmap(RankProtocol.InstallTable install) =>
        !IsStale(install.Epoch) && state.Pools.TryGetValue(install.Pool, out var pool) && !IsTakenIn(pool.Replica, install)
            ? Plan(pool, install).Unmap
            : [];

    public RankProtocol.IReply Decide(Decision decision)
    {
        if (IsStale(decision.Epoch))
        {
            return Decided(decision.Pool, state.HighestEpoch, decision.Seq, 0, new ReplicaAnswer(DecisionOutcome.StaleEpoch, default, null, []), 0);
        }

        if (!state.Pools.TryGetValue(decision.Pool, out var pool))
        {
            return Decided(decision.Pool, decision.Epoch, decision.Seq, 0, new ReplicaAnswer(DecisionOutcome.NeedsTable, default, null, []), 0);
        }

        var replica = pool.Replica;
        var step = replica.Judge(decision);
        var microseconds = 0.0;
        ReplicaAnswer answer;
        switch (step.Action)
        {
            case ReplicaAction.Map:
                answer = pool.Memory.TryMap(step.Extents.AsSpan()) switch
                {
                    MapResult.Mapped mapped => Timed(replica.Mapped(decision), mapped.DriverMicroseconds),
                    var refused => replica.MapRefused(decision, RankRefusals.Of(refused, state.Pages.Gpu)),
                };
                break;
            case ReplicaAction.Unmap:
                var unmapped = pool.Memory.Unmap(step.Extents.AsSpan(), keep: true);
                answer = Timed(replica.Unmapped(decision, QuarantinedIn(pool.Memory, decision.Extents)), unmapped.DriverMicroseconds);
                break;
            default:
                answer = step.Standing;
                break;
        }

        return Decided(decision.Pool, replica.Epoch, decision.Seq, replica.LastSeq, answer, microseconds);

        ReplicaAnswer Timed(ReplicaAnswer taken, double spent)
        {
            microseconds = spent;
            return taken;
        }
    }

    public RankProtocol.IReply Install(RankProtocol.InstallTable install)
    {
        if (IsStale(install.Epoch))
        {
            return Decided(install.Pool, state.HighestEpoch, install.Seq, 0, new ReplicaAnswer(DecisionOutcome.StaleEpoch, default, null, []), 0);
        }

        if (!state.Pools.TryGetValue(install.Pool, out var pool))
        {
            return Decided(install.Pool, install.Epoch, install.Seq, 0, new ReplicaAnswer(
                DecisionOutcome.Refused, default, new Refusal(RefusalReason.UnknownPool, $"{state.Pages.Gpu} holds nothing of {install.Pool}."), []), 0);
        }

        var replica = pool.Replica;
        if (IsTakenIn(replica, install))
        {
            return Decided(install.Pool, replica.Epoch, install.Seq, replica.LastSeq, replica.AnswerOf(install.Seq), 0);
        }

        var (unmap, map) = Plan(pool, install);
        var unmapped = pool.Memory.Unmap(unmap.AsSpan(), keep: false);
        var answer = pool.Memory.TryMap(map.AsSpan()) switch
        {
            MapResult.Mapped => replica.Installed(install.Epoch, install.Seq, install.Entries, QuarantinedIn(pool.Memory)),
            var refused => replica.InstallFailed(install.Epoch, install.Seq, unmap, RankRefusals.Of(refused, state.Pages.Gpu)),
        };
        return Decided(install.Pool, replica.Epoch, install.Seq, replica.LastSeq, answer, unmapped.DriverMicroseconds);
    }

    /// <summary>Something about a worker.</summary>
    public void Hear(WorkerEvent news)
    {
        if (news is WorkerEvent.Attaching attaching)
        {
            foreach (var descriptor in attaching.HeldDescriptors)
            {
                descriptor.Dispose();
            }

            attaching.Connection.TrySend(
                new WorkerProtocol.AttachRefused(new Refusal(
                    RefusalReason.UnknownPool, $"No pool '{attaching.Request.PoolName}' with target Worker is open on {state.Pages.Gpu}.")), []);
        }
    }

    /// <summary>Releases kept memory that is too old, and tries quarantined extents again.</summary>
    /// <returns>What has left quarantine, now or a short while ago.</returns>
    public ImmutableArray<RankProtocol.QuarantineCleared> Housekeep()
    {
        state.Pages.TrimKept();
        state.Pages.RefillFloors();
        foreach (var pool in state.Pools.Values.Where(p => !p.Memory.QuarantinedExtents.IsEmpty))
        {
            var cleared = pool.Memory.RetryQuarantined().Recovered;
            if (!cleared.IsEmpty)
            {
                state.Cleared.Add(new ClearedExtents(pool.Replica.Pool, cleared, TimesToTellCleared));
            }
        }

        var told = state.Cleared.ToImmutableArray();
        state.Cleared.Clear();
        state.Cleared.AddRange(told.Where(c => c.TimesToTell > 1).Select(c => c with { TimesToTell = c.TimesToTell - 1 }));
        return [.. told.Select(c => new RankProtocol.QuarantineCleared(state.Pages.Gpu, state.Pages.Incarnation, c.Pool, c.Extents))];
    }

    /// <summary>It comes a second time, and decisions may have followed it.</summary>
    private static bool IsTakenIn(PoolReplica replica, RankProtocol.InstallTable install) =>
        replica.Epoch == install.Epoch && install.Seq <= replica.LastSeq;

    /// <summary>What to unmap and to map; also unmaps what a mapper that failed halfway left outside the table.</summary>
    private static (ImmutableArray<Extent> Unmap, ImmutableArray<Extent> Map) Plan(RankPoolState pool, RankProtocol.InstallTable install)
    {
        var (unmap, map) = pool.Replica.PlanInstall(install.Entries);
        var strays = pool.Memory.MappedExtents.Where(e => !pool.Replica.Table.Contains(e));
        return ([.. unmap, .. strays], map);
    }

    private static ImmutableArray<Extent> QuarantinedIn(RankPool memory) => [.. memory.QuarantinedExtents.Select(q => q.Extent)];

    /// <summary>Of these extents, those that the driver would not let go.</summary>
    private static ImmutableArray<Extent> QuarantinedIn(RankPool memory, ImmutableArray<Extent> extents)
    {
        var quarantined = memory.QuarantinedExtents;
        return quarantined.IsEmpty ? [] : [.. quarantined.Select(q => q.Extent).Where(extents.Contains)];
    }

    /// <summary>Remembers the highest epoch; true for an older one.</summary>
    private bool IsStale(Epoch epoch)
    {
        if (epoch > state.HighestEpoch)
        {
            state.HighestEpoch = epoch;
        }

        return epoch < state.HighestEpoch;
    }

    private RankProtocol.EpochRefused Stale(Epoch epoch) => new(state.Pages.Gpu, state.Pages.Incarnation, epoch, state.HighestEpoch);

    private RankProtocol.RankPoolAnswer Answer(Epoch epoch, PoolId pool, bool isOpen, Refusal? refusal) =>
        new(state.Pages.Gpu, state.Pages.Incarnation, epoch, pool, isOpen, refusal)
        {
            Owner = state.Pools.TryGetValue(pool, out var known) ? known.Replica.Owner : default,
        };

    private RankProtocol.Decided Decided(PoolId pool, Epoch epoch, long seq, long lastSeq, ReplicaAnswer answer, double microseconds) => new(new DecisionAnswer(
        pool, epoch, seq, lastSeq, state.Pages.Gpu, state.Pages.Incarnation, answer.Outcome, answer.Digest, answer.Refusal, answer.Quarantined, microseconds));
}
