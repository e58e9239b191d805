using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;

namespace Kvcached.Actors.Workers;

/// <content>What is heard of workers: their answers, and how they go.</content>
internal sealed partial class WorkerWork
{
    /// <summary>Takes an event in. Returns the pool that it was about; null when it was about none that is open.</summary>
    public RankPoolState? Hear(WorkerEvent news)
    {
        if (news is WorkerEvent.Attaching attaching)
        {
            var attached = Attach(attaching);
            Dispose(attaching.HeldDescriptors);
            return attached;
        }

        // A connection that another one has replaced says nothing any more; nor does one whose pool is closed.
        if (state.Pools.Values.FirstOrDefault(p => p.Seat?.LastConnectionId == news.Connection.ConnectionId) is not { Seat: { } seat } pool)
        {
            return null;
        }

        switch (news)
        {
            case WorkerEvent.Received { Message: var message } when seat.Connection is not null:
                Receive(pool, seat, message);
                break;
            case WorkerEvent.Disconnected:
                Lose(pool, seat);
                break;
            case WorkerEvent.Died:
                Bury(pool, seat);
                break;
        }

        FinishClosing(pool, seat);
        return pool;
    }

    private void Receive(RankPoolState pool, WorkerSeat seat, WorkerProtocol.IMessage message)
    {
        switch (message)
        {
            case WorkerProtocol.OperationDone done when seat.Queue.Answered(done.Operation) is { } operation:
                Done(pool, seat, operation, done);
                Pump(pool, seat);
                break;
            case WorkerProtocol.StuckReleased released when !released.Extents.IsDefault:
                LetGo(pool, seat, [.. released.Extents.Where(seat.Stuck.Contains)]);
                break;
            case WorkerProtocol.Detach:
                var connection = seat.Connection;
                Bury(pool, seat);
                connection?.Close();
                break;
            default:
                Break(pool, seat);
                break;
        }
    }

    private void Done(RankPoolState pool, WorkerSeat seat, WorkerOperation operation, WorkerProtocol.OperationDone done)
    {
        ImmutableArray<Extent> extents = [.. operation.Extents.Select(e => e.Extent)];
        var stuck = done.Stuck.IsDefault ? [] : done.Stuck.Where(seat.Held.ContainsKey).ToHashSet();
        var isAwaited = seat.Wait is { Reply: null } wait && wait.Ticket == operation.Ticket;
        if (done.Refusal is not null && (operation.Kind != WorkerOperationKind.Map || operation.IsPartOfTable))
        {
            // A table and an unmap only move forward: a worker that can't follow attaches anew, or ends.
            Break(pool, seat);
            return;
        }

        switch (operation.Kind)
        {
            case WorkerOperationKind.Map when done.Refusal is not null:
                seat.Stuck.UnionWith(stuck);
                LetGo(pool, seat, [.. extents.Where(e => !stuck.Contains(e))]);
                if (isAwaited)
                {
                    SettleMap(pool, seat, done.Refusal);
                }

                break;
            case WorkerOperationKind.Map when isAwaited && !operation.IsPartOfTable && seat.Wait!.Command is RankProtocol.Decide { Decision: var decision }:
                Settle(pool, seat, IsTakenIn(pool, decision) ? pool.Replica.AnswerOf(decision.Seq) : pool.Replica.Mapped(decision, done.Digest), done.DriverMicroseconds);
                break;
            case WorkerOperationKind.Unmap or WorkerOperationKind.Retire:
                // What was stuck before is not free because it is named again.
                seat.Stuck.UnionWith(stuck);
                pool.Memory.Quarantine(extents.AsSpan());
                LetGo(pool, seat, [.. extents.Where(e => !seat.Stuck.Contains(e))], isImported: operation.Kind == WorkerOperationKind.Retire);
                if (isAwaited)
                {
                    SettleUnmap(pool, seat, done.Digest, done.DriverMicroseconds);
                }

                break;
            case WorkerOperationKind.LetGo:
                LetGoOfImports(pool, operation, done);
                break;
            case WorkerOperationKind.Install:
                seat.Stuck.UnionWith(stuck);
                LetGo(pool, seat, [.. operation.Replaced.Where(e => !stuck.Contains(e))]);
                break;
        }

        if (isAwaited && seat.Wait is { Reply: null, Command: RankProtocol.InstallTable })
        {
            SettleInstall(pool, seat, done.Digest, done.DriverMicroseconds);
        }

        if (operation.Ticket == seat.CatchUpTicket)
        {
            CaughtUp(pool, seat, done.Digest);
        }
    }

    /// <summary>
    /// The worker doesn't hold these any more: what waits in quarantine for that is free. What is still in the table stays; its memory outlives the
    /// worker.
    /// </summary>
    /// <param name="pool">The pool.</param>
    /// <param name="seat">Its worker's place.</param>
    /// <param name="extents">What isn't mapped there any more.</param>
    /// <param name="isImported">Whether the worker keeps their memory imported.</param>
    private void LetGo(RankPoolState pool, WorkerSeat seat, ImmutableArray<Extent> extents, bool isImported = false)
    {
        foreach (var extent in extents)
        {
            seat.Held.Remove(extent);
            seat.Stuck.Remove(extent);
        }

        var waiting = RankReplies.QuarantinedIn(pool.Memory, extents);
        if (waiting.IsEmpty)
        {
            return;
        }

        var awaited = seat.Wait is { Reply: null } wait ? wait.Extents : [];
        ImmutableArray<Extent> freed = [.. pool.Memory.Unmap(waiting.AsSpan(), keep: !seat.IsClosing, isImported).Unmapped.Where(e => !awaited.Contains(e))];
        if (!freed.IsEmpty)
        {
            state.Cleared.Add(new ClearedExtents(pool.Replica.Pool, freed, ClearedExtents.TimesToTellAtFirst));
        }
    }

    /// <summary>It doesn't keep to the conversation, or can't follow: its connection ends, and it may attach anew.</summary>
    private void Break(RankPoolState pool, WorkerSeat seat)
    {
        var connection = seat.Connection;
        Lose(pool, seat);
        connection?.Close();
    }

    /// <summary>The connection is gone, the process may live on: nothing that it may have mapped is touched, and nobody waits for it.</summary>
    private void Lose(RankPoolState pool, WorkerSeat seat)
    {
        seat.Disconnect();
        switch (seat.Wait)
        {
            case { Reply: null, Command: RankProtocol.Decide { Decision.Kind: DecisionKind.Map } }:
                SettleMap(pool, seat, new Refusal(RefusalReason.NotAttached, $"The worker of {pool.Replica.Pool} on {state.Pages.Gpu} was lost while it mapped."));
                break;
            case { Reply: null, Command: RankProtocol.Decide }:
                SettleUnmap(pool, seat, null, 0);
                break;
            case { Reply: null, Command: RankProtocol.InstallTable }:
                SettleInstall(pool, seat, null, 0);
                break;
        }
    }

    /// <summary>The worker is dead, or has left in good order: it holds nothing any more.</summary>
    private void Bury(RankPoolState pool, WorkerSeat seat)
    {
        ImmutableArray<Extent> held = [.. seat.Held.Keys];
        var isUnmapAwaited = seat.Wait is { Reply: null, Command: RankProtocol.Decide { Decision.Kind: not DecisionKind.Map } };
        if (isUnmapAwaited)
        {
            // So that the answer says that they are free.
            pool.Memory.Quarantine([.. seat.Wait!.Extents.Where(seat.Held.ContainsKey)]);
            LetGo(pool, seat, held);
        }

        Lose(pool, seat);
        LetGo(pool, seat, held);
        FreeImports(pool);
        seat.Leave();

        // A name too many costs the next life of this host a wait at most.
        _ = state.RecordHolders();
    }
}
