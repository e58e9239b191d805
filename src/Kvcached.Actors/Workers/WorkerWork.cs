using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Pools;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Actors.Workers;

/// <summary>
/// Carries out commands on pools whose pages the engine's own workers map: provides the memory, tells the worker, and takes in what it answers. Never waits:
/// a command is settled at once, or later by what is heard of the worker, or by its deadline.
/// </summary>
/// <remarks>
/// One rule holds throughout: memory that a living worker may have mapped (<see cref="WorkerSeat.Held"/>) is neither released nor used again. What must leave
/// the table before the worker has let go is quarantined.
/// </remarks>
internal sealed partial class WorkerWork(RankState state, RankReplies replies)
{
    public void Map(RankPoolState pool, WorkerSeat seat, RankProtocol.Decide command)
    {
        seat.Wait = new WorkerWait(command);
        if (!seat.IsCaughtUp)
        {
            SettleMap(pool, seat, NotAttached(pool));
            return;
        }

        TryMap(pool, seat, seat.Wait, command.Decision);
    }

    private void TryMap(RankPoolState pool, WorkerSeat seat, WorkerWait wait, Decision decision)
    {
        var result = pool.Memory.TryMap(decision.Extents.AsSpan());
        wait.IsAwaitingMemory = result is MapResult.AwaitsWorkers;
        if (wait.IsAwaitingMemory)
        {
            return;
        }

        if (result is not MapResult.Mapped)
        {
            SettleMap(pool, seat, RankRefusals.Of(result, state.Pages.Gpu));
            return;
        }

        wait.Ticket = seat.Queue.Add(new WorkerOperation(
            WorkerOperationKind.Map, decision.Epoch, decision.Seq, EngineStep.None, Lend(pool, decision.Extents), [], DescriptorsOf(pool, decision.Extents)));
        Pump(pool, seat);
    }

    /// <summary>Carries out an unmap or an abort.</summary>
    public void Unmap(RankPoolState pool, WorkerSeat seat, RankProtocol.Decide command)
    {
        var decision = command.Decision;
        var wait = seat.Wait = new WorkerWait(command);
        ImmutableArray<Extent> held = [.. decision.Extents.Where(seat.Held.ContainsKey)];
        pool.Memory.Unmap([.. decision.Extents.Where(e => !seat.Held.ContainsKey(e))], keep: true);
        if (seat.Connection is null || held.All(seat.Stuck.Contains))
        {
            SettleUnmap(pool, seat, null, 0);
            return;
        }

        var kind = state.KeepsImports && !seat.IsClosing ? WorkerOperationKind.Retire : WorkerOperationKind.Unmap;
        wait.Ticket = EnqueueUnmap(seat, held, kind, decision.Epoch, decision.Seq, decision.Fence);
        Pump(pool, seat);
    }

    public void Install(RankPoolState pool, WorkerSeat seat, RankProtocol.InstallTable command, ImmutableArray<Extent> unmap, ImmutableArray<Extent> map)
    {
        var wait = seat.Wait = new WorkerWait(command);
        pool.Replica.Honour(command.Fence);
        pool.Memory.Unmap([.. unmap.Where(e => !seat.Held.ContainsKey(e))], keep: false);
        pool.Memory.Quarantine([.. unmap.Where(seat.Held.ContainsKey)]);
        var refusal = seat.IsClosing ? new Refusal(RefusalReason.UnknownPool, $"{command.Pool} is being closed on {state.Pages.Gpu}.")
            : pool.Memory.TryMap(map.AsSpan()) is var result and not MapResult.Mapped ? RankRefusals.Of(result, state.Pages.Gpu)
            : null;
        if (refusal is not null)
        {
            Settle(pool, seat, pool.Replica.InstallFailed(command.Epoch, command.Seq, unmap, refusal), 0);
            return;
        }

        if (seat.Connection is null)
        {
            // Whoever attaches gets the whole table first.
            SettleInstall(pool, seat, null, 0);
            return;
        }

        wait.Ticket = EnqueueTable(pool, seat, [.. command.Entries.Select(e => e.Extent)], seat.Held.ContainsKey, command.Epoch, command.Seq);
        Pump(pool, seat);
    }

    public void Close(RankPoolState pool, WorkerSeat seat, RankProtocol.CloseRankPool command)
    {
        seat.Wait = new WorkerWait(command);
        if (!seat.IsClosing)
        {
            seat.IsClosing = true;
            seat.CloseFence = command.Fence;
            seat.IsCaughtUp = false;
            pool.Memory.Unmap([.. pool.Memory.MappedExtents.Where(e => !seat.Held.ContainsKey(e))], keep: false);
            pool.Memory.Quarantine(pool.Memory.MappedExtents.AsSpan());
            seat.Connection?.TrySend(PoolGone(pool, seat), []);
        }

        FinishClosing(pool, seat);
    }

    /// <summary>The command has waited too long. What the worker may do yet is provided for.</summary>
    public void Expire(RankPoolState pool, WorkerSeat seat)
    {
        switch (seat.Wait)
        {
            case { Reply: not null } or null:
                break;
            case { Command: RankProtocol.Decide { Decision: { Kind: DecisionKind.Map } map } } wait:
                if (wait.IsAwaitingMemory)
                {
                    SettleMap(pool, seat, RankRefusals.Of(new MapResult.AwaitsWorkers(), state.Pages.Gpu));
                    break;
                }

                var isSent = !seat.Queue.TryCancel(wait.Ticket);
                if (isSent)
                {
                    // Nobody was told of them, so that no step uses them.
                    EnqueueUnmap(seat, wait.Extents, WorkerOperationKind.Unmap, map.Epoch, map.Seq, EngineStep.None);
                }

                SettleMap(pool, seat, new Refusal(RefusalReason.DeadlineExceeded, $"The worker of {pool.Replica.Pool} on {state.Pages.Gpu} didn't map {wait.Extents.Length} extents in time."));
                Pump(pool, seat);
                break;
            case { Command: RankProtocol.Decide }:
                SettleUnmap(pool, seat, null, 0);
                break;
            case { Command: RankProtocol.InstallTable }:
                // It can't be told what to do next before it has done this: it attaches anew.
                Break(pool, seat);
                break;
            case { Command: RankProtocol.CloseRankPool close } wait:
                wait.Reply = replies.Answer(close.Epoch, close.Pool, true, new Refusal(
                    RefusalReason.DeadlineExceeded, $"The worker of {close.Pool} on {state.Pages.Gpu} still has {seat.Held.Count} extents mapped; they are kept until it lets go or ends."));
                break;
        }
    }

    private Refusal NotAttached(RankPoolState pool) => new(
        RefusalReason.NotAttached, $"No worker is attached to rank {pool.Replica.Rank} of {pool.Replica.Pool} on {state.Pages.Gpu}, or it is still taking its table in.");

    private static WorkerProtocol.PoolGone PoolGone(RankPoolState pool, WorkerSeat seat) =>
        new(new Refusal(RefusalReason.UnknownPool, $"{pool.Replica.Pool} ('{pool.Replica.Spec.Name}') is closed: unmap everything and detach."), seat.CloseFence);

    private static ImmutableArray<LentExtent> Lend(RankPoolState pool, ImmutableArray<Extent> extents) =>
        [.. extents.Select(e => new LentExtent(e, pool.Memory.IdentityOf(e) ?? throw new InvalidOperationException($"{e} of {pool.Replica.Pool} has no memory.")))];

    private static int DescriptorsOf(RankPoolState pool, ImmutableArray<Extent> extents) => extents.Sum(e => pool.Memory.Layout.UnitsOf(e.Group).Length);

    /// <summary>Has the worker unmap what no operation unmaps yet; the ticket of the last operation that does.</summary>
    private static long EnqueueUnmap(
        WorkerSeat seat, ImmutableArray<Extent> extents, WorkerOperationKind kind, Epoch epoch, long seq, EngineStep fence)
    {
        var last = 0L;
        var missing = ImmutableArray.CreateBuilder<LentExtent>();
        foreach (var extent in extents)
        {
            var ticket = seat.Queue.FindUnmap(extent);
            last = Math.Max(last, ticket);
            if (ticket == 0 && !seat.Stuck.Contains(extent) && seat.Held.TryGetValue(extent, out var identity))
            {
                missing.Add(new LentExtent(extent, identity));
            }
        }

        return missing.Count == 0 ? last : seat.Queue.Add(new WorkerOperation(kind, epoch, seq, fence, missing.ToImmutable(), [], 0));
    }

    /// <summary>Sends what may go now.</summary>
    private void Pump(RankPoolState pool, WorkerSeat seat)
    {
        while (seat.Connection is { } connection && seat.Queue.NextToSend() is { } next)
        {
            if (!TryExport(pool, next, out var descriptors, out var problem))
            {
                CannotExport(pool, seat, next, problem);
                continue;
            }

            if (next.Kind == WorkerOperationKind.Install)
            {
                var listed = next.Extents.Select(e => e.Extent).ToHashSet();
                next.Replaced = [.. seat.Held.Keys.Where(e => !listed.Contains(e))];
            }

            if (next.MapsSomething)
            {
                pool.Memory.Lent([.. next.Extents.Select(e => e.Extent)]);
                foreach (var lent in next.Extents)
                {
                    seat.Held[lent.Extent] = lent.Identity;
                }
            }

            seat.Queue.Sent(next);
            var message = new WorkerProtocol.Operate(next.Number, next.Kind, next.Epoch, next.Seq, next.Fence, next.Extents, next.IsDescriptorsHeld);
            if (!connection.TrySend(message, descriptors))
            {
                Break(pool, seat);
            }
        }
    }

    private static bool TryExport(RankPoolState pool, WorkerOperation operation, out ImmutableArray<SafeFileHandle> descriptors, out string problem)
    {
        var all = ImmutableArray.CreateBuilder<SafeFileHandle>(operation.DescriptorCount);
        problem = string.Empty;
        for (var i = 0; i < operation.Extents.Length; i++)
        {
            if (!operation.NeedsDescriptors(i))
            {
                continue;
            }

            if (!pool.Memory.TryExport(operation.Extents[i].Extent, out var some, out problem))
            {
                Dispose(all.ToImmutable());
                descriptors = [];
                return false;
            }

            all.AddRange(some);
        }

        descriptors = all.ToImmutable();
        return true;
    }

    private void CannotExport(RankPoolState pool, WorkerSeat seat, WorkerOperation operation, string problem)
    {
        if (seat.Wait is { Reply: null } wait && wait.Ticket == operation.Ticket && operation.Kind == WorkerOperationKind.Map)
        {
            seat.Queue.TryCancel(operation.Ticket);
            SettleMap(pool, seat, new Refusal(RefusalReason.Busy, problem));
        }
        else
        {
            Break(pool, seat);
        }
    }

    private static void Dispose(ImmutableArray<SafeFileHandle> descriptors)
    {
        foreach (var descriptor in descriptors.IsDefault ? [] : descriptors)
        {
            descriptor.Dispose();
        }
    }
}
