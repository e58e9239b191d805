using System.Collections.Immutable;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Replication;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Ranks;

/// <summary>What the page mapper does, without the actor: checks epochs, carries decisions out on the page pool, and makes the answers.</summary>
internal sealed class MapperWork
{
    private readonly RankState _state;
    private readonly RankReplies _replies;
    private readonly WorkerWork _workers;

    public MapperWork(RankState state)
    {
        _state = state;
        _replies = new RankReplies(state);
        _workers = new WorkerWork(state, _replies);
    }

    public RankProtocol.IReply Report(RankProtocol.ReportRank command)
    {
        var pages = _state.Pages;
        if (_replies.IsStale(command.Epoch))
        {
            return _replies.Stale(command.Epoch);
        }

        return new RankProtocol.RankReported(pages.Gpu, pages.Incarnation, command.Epoch,
        [
            .. _state.Pools.Values.Select(pool => new RankPoolReport(
                pool.Replica.Pool, pool.Replica.Rank, pool.Replica.Spec, pool.Replica.Owner, pool.Replica.Epoch, pool.Replica.LastSeq,
                pool.Replica.Entries, RankReplies.QuarantinedIn(pool.Memory), pool.Replica.HighestGeneration, pool.Replica.Fence,
                pool.Seat?.Standing ?? RankWorker.None)),
        ])
        {
            Policies = _state.Policies.All,
        };
    }

    /// <summary>Follows what operators have laid down. Null, or that the command is of an older epoch.</summary>
    public RankProtocol.EpochRefused? TakePolicies(RankProtocol.KeepPolicies command)
    {
        if (_replies.IsStale(command.Epoch))
        {
            return _replies.Stale(command.Epoch);
        }

        _state.Policies.Take(command.Policies);
        FollowFloors();
        return null;
    }

    /// <summary>An operator has the rank drained, or not any more. Null, or that the command is of an older epoch.</summary>
    public RankProtocol.EpochRefused? Drain(RankProtocol.SetDraining command)
    {
        if (_replies.IsStale(command.Epoch))
        {
            return _replies.Stale(command.Epoch);
        }

        _state.IsDraining = command.IsDraining;
        return null;
    }

    public RankProtocol.IReply Open(RankProtocol.OpenRankPool command)
    {
        if (_replies.IsStale(command.Epoch))
        {
            return _replies.Stale(command.Epoch);
        }

        if (_state.Pools.TryGetValue(command.Pool, out var known))
        {
            var isSame = known.Replica.Rank == command.Rank && known.Replica.Spec == command.Spec;
            if (isSame && known.Replica.Owner != command.Owner)
            {
                known.Replica.Owner = command.Owner;

                // Or this host, once killed and started again, would name an owner that the other ranks have forgotten. When it can't be
                // written, that is all that happens: the owner is asked for anew.
                _ = _state.RecordHolders();
            }

            return _replies.Answer(command.Epoch, command.Pool, isSame, isSame
                ? null
                : new Refusal(RefusalReason.NameInUse, $"{command.Pool} is open on {_state.Pages.Gpu} with another shape."));
        }

        switch (_state.Pages.Open(command.Pool, command.Spec.Geometry, command.Rank, FloorOf(command.Spec), isMappedHere: command.Spec.Target == PoolTarget.Host))
        {
            case OpenRankPoolResult.Opened opened:
                _state.Add(new RankPoolState(opened.Pool, new PoolReplica(command.Pool, command.Rank, command.Spec, command.Owner, command.Epoch),
                    command.Spec.Target == PoolTarget.Worker ? new WorkerSeat() : null));
                return _replies.Answer(command.Epoch, command.Pool, true, null);
            case OpenRankPoolResult.Refused refused:
                return _replies.Answer(command.Epoch, command.Pool, false, RankRefusals.Of(refused));
            default:
                throw new UnreachableException();
        }
    }

    /// <summary>The answer; null when it waits for the pool's worker, see <see cref="TryCollect"/>.</summary>
    public RankProtocol.IReply? Close(RankProtocol.CloseRankPool command)
    {
        if (_replies.IsStale(command.Epoch))
        {
            return _replies.Stale(command.Epoch);
        }

        if (_state.Pools.TryGetValue(command.Pool, out var pool) && pool.Seat is { } seat)
        {
            _workers.Close(pool, seat, command);
            return Collect(seat);
        }

        if (_state.Pages.Close(command.Pool) is CloseResult.Incomplete incomplete)
        {
            // It stays open with what is left; the coordinator asks again.
            return _replies.Answer(command.Epoch, command.Pool, true, new Refusal(RefusalReason.DriverFailed, incomplete.Text));
        }

        _state.Remove(command.Pool);
        return _replies.Answer(command.Epoch, command.Pool, false, null);
    }

    /// <summary>What the decision would unmap, if it is one that unmaps and comes at its turn.</summary>
    public ImmutableArray<Extent> ExtentsToUnmap(Decision decision) =>
        decision.Kind != DecisionKind.Map && _state.Pools.TryGetValue(decision.Pool, out var pool) && pool.Replica.Epoch == decision.Epoch
            ? [.. decision.Extents.Where(e => pool.Replica.Table.Contains(e))]
            : [];

    public ImmutableArray<Extent> ExtentsToUnmap(RankProtocol.InstallTable install) =>
        !_replies.IsStale(install.Epoch) && _state.Pools.TryGetValue(install.Pool, out var pool) && !IsTakenIn(pool.Replica, install)
            ? Plan(pool, install).Unmap
            : [];

    /// <inheritdoc cref="Close"/>
    public RankProtocol.IReply? Decide(RankProtocol.Decide command)
    {
        var decision = command.Decision;
        if (_replies.IsStale(decision.Epoch))
        {
            return _replies.Decided(decision.Pool, _state.HighestEpoch, decision.Seq, 0, new ReplicaAnswer(DecisionOutcome.StaleEpoch, default, null, []), 0);
        }

        if (!_state.Pools.TryGetValue(decision.Pool, out var pool))
        {
            return _replies.Decided(decision.Pool, decision.Epoch, decision.Seq, 0, new ReplicaAnswer(DecisionOutcome.NeedsTable, default, null, []), 0);
        }

        var replica = pool.Replica;
        var step = replica.Judge(decision);
        if (pool.Seat is { } seat && step.Action != ReplicaAction.Answer)
        {
            if (step.Action == ReplicaAction.Map)
            {
                _workers.Map(pool, seat, command);
            }
            else
            {
                _workers.Unmap(pool, seat, command);
            }

            _workers.AskBack();
            return Collect(seat);
        }

        var microseconds = 0.0;
        ReplicaAnswer answer;
        switch (step.Action)
        {
            case ReplicaAction.Map:
                answer = pool.Memory.TryMap(step.Extents.AsSpan()) switch
                {
                    MapResult.Mapped mapped => Timed(replica.Mapped(decision), mapped.DriverMicroseconds),
                    var refused => replica.MapRefused(decision, RankRefusals.Of(refused, _state.Pages.Gpu)),
                };
                break;
            case ReplicaAction.Unmap:
                var unmapped = pool.Memory.Unmap(step.Extents.AsSpan(), keep: true);
                answer = Timed(replica.Unmapped(decision, RankReplies.QuarantinedIn(pool.Memory, decision.Extents)), unmapped.DriverMicroseconds);
                break;
            default:
                answer = step.Standing;
                break;
        }

        _workers.AskBack();
        return _replies.Decided(decision.Pool, replica.Epoch, decision.Seq, replica.LastSeq, answer, microseconds);

        ReplicaAnswer Timed(ReplicaAnswer taken, double spent)
        {
            microseconds = spent;
            return taken;
        }
    }

    /// <inheritdoc cref="Close"/>
    public RankProtocol.IReply? Install(RankProtocol.InstallTable install)
    {
        if (_replies.IsStale(install.Epoch))
        {
            return _replies.Decided(install.Pool, _state.HighestEpoch, install.Seq, 0, new ReplicaAnswer(DecisionOutcome.StaleEpoch, default, null, []), 0);
        }

        if (!_state.Pools.TryGetValue(install.Pool, out var pool))
        {
            return _replies.Decided(install.Pool, install.Epoch, install.Seq, 0, new ReplicaAnswer(
                DecisionOutcome.Refused, default, new Refusal(RefusalReason.UnknownPool, $"{_state.Pages.Gpu} holds nothing of {install.Pool}."), []), 0);
        }

        var replica = pool.Replica;
        if (IsTakenIn(replica, install))
        {
            return _replies.Decided(install.Pool, replica.Epoch, install.Seq, replica.LastSeq, replica.AnswerOf(install.Seq), 0);
        }

        var (unmap, map) = Plan(pool, install);
        if (pool.Seat is { } seat)
        {
            _workers.Install(pool, seat, install, unmap, map);
            _workers.AskBack();
            return Collect(seat);
        }

        replica.Honour(install.Fence);
        var unmapped = pool.Memory.Unmap(unmap.AsSpan(), keep: false);
        var answer = pool.Memory.TryMap(map.AsSpan()) switch
        {
            MapResult.Mapped => replica.Installed(install.Epoch, install.Seq, install.Entries, RankReplies.QuarantinedIn(pool.Memory)),
            var refused => replica.InstallFailed(install.Epoch, install.Seq, unmap, RankRefusals.Of(refused, _state.Pages.Gpu)),
        };
        return _replies.Decided(install.Pool, replica.Epoch, install.Seq, replica.LastSeq, answer, unmapped.DriverMicroseconds);
    }

    /// <summary>Something about a worker. Returns the pool whose waiting command it may have settled; null when none.</summary>
    public RankPoolState? Hear(WorkerEvent news) => _workers.Hear(news);

    /// <inheritdoc cref="WorkerWork.Revive"/>
    public ImmutableArray<RankPoolState> Revive() => _workers.Revive();

    /// <summary>The command that waits for the pool's worker has waited too long, if it still waits.</summary>
    public RankPoolState? Expire(PoolId id, WorkerWait wait)
    {
        if (!_state.Pools.TryGetValue(id, out var pool) || pool.Seat is not { } seat || seat.Wait != wait)
        {
            return null;
        }

        _workers.Expire(pool, seat);
        return pool;
    }

    /// <summary>The answer of the command that waited, once it is settled.</summary>
    public static bool TryCollect(RankPoolState pool, [NotNullWhen(true)] out RankProtocol.IReply? reply)
    {
        reply = pool.Seat is { } seat ? Collect(seat) : null;
        return reply is not null;
    }

    /// <summary>What the coordinator is to hear of workers.</summary>
    public ImmutableArray<RankProtocol.WorkerChanged> WorkerNews() =>
    [
        .. _state.Pools.Values.Where(p => p.Seat is { } seat && seat.TakeNews())
            .Select(p => new RankProtocol.WorkerChanged(_state.Pages.Gpu, _state.Pages.Incarnation, p.Replica.Pool, p.Seat!.Standing)),
    ];

    /// <summary>Releases kept memory that is too old, and tries quarantined extents again.</summary>
    /// <returns>What has left quarantine, now or a short while ago.</returns>
    public ImmutableArray<RankProtocol.QuarantineCleared> Housekeep()
    {
        GiveWay();
        _state.Pages.TrimKept();
        FollowFloors();
        _state.Pages.RefillFloors();
        _workers.AskBack();
        foreach (var pool in _state.Pools.Values.Where(p => !p.Memory.QuarantinedExtents.IsEmpty))
        {
            var cleared = pool.Memory.RetryQuarantined().Recovered;
            if (!cleared.IsEmpty)
            {
                _state.Cleared.Add(new ClearedExtents(pool.Replica.Pool, cleared, ClearedExtents.TimesToTellAtFirst));
            }
        }

        var told = _state.Cleared.ToImmutableArray();
        _state.Cleared.Clear();
        _state.Cleared.AddRange(told.Where(c => c.TimesToTell > 1).Select(c => c with { TimesToTell = c.TimesToTell - 1 }));
        return [.. told.Select(c => new RankProtocol.QuarantineCleared(_state.Pages.Gpu, _state.Pages.Incarnation, c.Pool, c.Extents))];
    }

    /// <summary>Gives back what is only kept, as far as others on the device want room.</summary>
    public void GiveWay()
    {
        _state.Pages.KeepWithin(_state.Device?.RoomBytes ?? long.MaxValue);
        _workers.AskBack();
    }

    private long FloorOf(PoolSpec spec) => _state.Policies.FloorOf(spec, _state.Pages.Gpu, _state.Pages.CapacityBytes);

    /// <summary>Lowers floors, then raises others; where memory isn't free yet it is tried again with the next housekeeping.</summary>
    private void FollowFloors()
    {
        if (_state.Recovery is not null)
        {
            // What workers have kept comes first.
            return;
        }

        foreach (var pool in _state.Pools.Values.OrderBy(p => FloorOf(p.Replica.Spec) - p.Memory.FloorBytes))
        {
            var floor = FloorOf(pool.Replica.Spec);
            if (floor != pool.Memory.FloorBytes)
            {
                _ = _state.Pages.TrySetFloor(pool.Replica.Pool, floor, out _);
            }
        }
    }

    private static RankProtocol.IReply? Collect(WorkerSeat seat)
    {
        var reply = seat.Wait?.Reply;
        seat.Wait = reply is null ? seat.Wait : null;
        return reply;
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
}
