using System.Collections.Immutable;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;

namespace Kvcached.Actors.Workers;

/// <content>Workers that attach: who may, and how they get the whole table.</content>
internal sealed partial class WorkerWork
{
    /// <summary>Lets a worker in, or says why not. Returns the pool that it was let in to.</summary>
    private RankPoolState? Attach(WorkerEvent.Attaching news)
    {
        var (connection, request) = (news.Connection, news.Request);
        var pool = FindPool(request.PoolName, connection.UserId);
        var refusal = pool is null
            ? new Refusal(RefusalReason.UnknownPool, $"No pool '{request.PoolName}' that user {connection.UserId} may map is open on {state.Pages.Gpu}. Open it first, and attach as the same user.")
            : FindProblem(pool, request, news.HeldDescriptors.IsDefault ? 0 : news.HeldDescriptors.Length);
        if (refusal is null && pool!.Seat!.IsAdopting)
        {
            refusal = Adopt(pool, pool.Seat, request, news.HeldDescriptors);
        }

        if (pool?.Seat is not { } seat || refusal is not null)
        {
            connection.TrySend(new WorkerProtocol.AttachRefused(refusal!), []);
            return null;
        }

        if (seat.Connection is { } old)
        {
            Lose(pool, seat);
            if (old.ConnectionId != connection.ConnectionId)
            {
                old.Close();
            }
        }

        // What it doesn't name it may still have half unmapped: that is known when it has taken its table in.
        var isNew = seat.Worker != request.Worker;

        // A worker keeps no imports beyond its connection.
        FreeImports(pool);
        seat.Attach(connection, request.Worker);
        if (isNew && state.RecordHolders() is { } problem)
        {
            // Nobody would know of it once this host is killed.
            seat.Disconnect();
            seat.Leave();
            connection.TrySend(new WorkerProtocol.AttachRefused(new Refusal(RefusalReason.Busy, $"The host can't write down who holds its memory: {problem}")), []);
            return pool;
        }

        if (state.Recovery is { } recovery)
        {
            recovery.Adopted(pool.Replica.Pool);
        }

        var still = request.Held.Where(h => seat.Held.TryGetValue(h.Extent, out var identity) && identity == h.Identity).Select(h => h.Extent).ToHashSet();
        if (!connection.TrySend(new WorkerProtocol.RankAttached(pool.Replica.Pool, pool.Replica.Rank, pool.Replica.Spec), []))
        {
            Break(pool, seat);
        }
        else if (seat.IsClosing)
        {
            connection.TrySend(PoolGone(pool, seat), []);
        }
        else
        {
            seat.CatchUpDigest = pool.Replica.Table.Digest;
            seat.CatchUpTicket = EnqueueTable(pool, seat, [.. pool.Replica.Table.Enumerate()], still.Contains, pool.Replica.Epoch, pool.Replica.LastSeq);
            Pump(pool, seat);
        }

        return pool;
    }

    /// <summary>A pool of that name; to a user whose pool it isn't, there is none.</summary>
    private RankPoolState? FindPool(string name, uint userId) => state.Pools.Values
        .Where(p => p.Replica.Spec.Name == name && (p.Replica.Spec.OwnerUserId < 0 || p.Replica.Spec.OwnerUserId == userId))
        .MaxBy(p => p.Replica.Pool);

    private Refusal? FindProblem(RankPoolState pool, WorkerProtocol.AttachRank request, int descriptorCount)
    {
        var (gpu, replica) = (state.Pages.Gpu, pool.Replica);
        if (pool.Seat is not { } seat)
        {
            return new Refusal(RefusalReason.NotSupported, $"Pool '{request.PoolName}' is mapped by its hosts; open it with target Worker to attach workers.");
        }

        if (request.Device != gpu)
        {
            return new Refusal(RefusalReason.WrongDevice, $"The worker runs on {request.Device}, this is the host of {gpu}. Reach the host of its device.");
        }

        if (request.Rank != replica.Rank)
        {
            return new Refusal(RefusalReason.WrongDevice, $"Rank {request.Rank} of pool '{request.PoolName}' isn't on {gpu}; rank {replica.Rank} is.");
        }

        if (request.Backend != state.Pages.Backend)
        {
            return new Refusal(RefusalReason.NotSupported, $"The worker maps with '{request.Backend}', {gpu} is lent with '{state.Pages.Backend}'; memory can't pass between them.");
        }

        if (request.Worker == default || request.Held.IsDefault || request.Held.Any(h => (uint)h.Extent.Group >= (uint)pool.Memory.Layout.GroupCount)
            || request.Held.Sum(h => pool.Memory.Layout.UnitsOf(h.Extent.Group).Length) != descriptorCount)
        {
            return new Refusal(RefusalReason.InvalidMessage, $"The request to attach to pool '{request.PoolName}' names no worker, or comes with {descriptorCount} descriptors that don't fit what it holds.");
        }

        if (seat.Worker != default && seat.Worker != request.Worker)
        {
            return new Refusal(RefusalReason.AlreadyAttached, $"{seat.Worker} is attached to rank {replica.Rank} of pool '{request.PoolName}', and lives. End it first.");
        }

        if (seat.IsClosing && seat.Worker == default)
        {
            return new Refusal(RefusalReason.UnknownPool, $"Pool '{request.PoolName}' is being closed on {gpu}.");
        }

        if (request.HighestEpoch > state.HighestEpoch && !seat.IsAdopting)
        {
            return new Refusal(RefusalReason.StaleEpoch, $"The worker has followed {request.HighestEpoch}, {gpu} only {state.HighestEpoch}. Start the worker anew.");
        }

        // Of a host before this one, which this one knows nothing of.
        var isForeign = !seat.IsAdopting && request.Pool == replica.Pool && request.Held.Any(h => !seat.Held.TryGetValue(h.Extent, out var known) || known != h.Identity);
        return isForeign
            ? new Refusal(RefusalReason.PoolLost, $"The worker holds memory of pool '{request.PoolName}' that {gpu} didn't lend to it. Start the worker anew.")
            : null;
    }

    /// <summary>
    /// Has the worker take the whole table: first a list with all that it holds already and as much more as goes at once, then the rest in parts.
    /// </summary>
    /// <returns>Ticket of the last operation.</returns>
    private static long EnqueueTable(
        RankPoolState pool, WorkerSeat seat, ImmutableArray<Extent> table, Func<Extent, bool> isHeld, Epoch epoch, long seq)
    {
        var parts = new List<List<Extent>> { new() };
        var descriptors = 0;
        foreach (var extent in table.Where(e => !isHeld(e)))
        {
            var more = pool.Memory.Layout.UnitsOf(extent.Group).Length;
            if (descriptors > 0 && descriptors + more > seat.Queue.MaxDescriptors)
            {
                parts.Add([]);
                descriptors = 0;
            }

            descriptors += more;
            parts[^1].Add(extent);
        }

        ImmutableArray<Extent> held = [.. table.Where(isHeld)];
        ImmutableArray<Extent> first = [.. parts[0]];
        var ticket = seat.Queue.Add(new WorkerOperation(
            WorkerOperationKind.Install, epoch, seq, pool.Replica.Fence, Lend(pool, [.. held, .. first]),
            [.. Enumerable.Repeat(true, held.Length), .. Enumerable.Repeat(false, first.Length)], DescriptorsOf(pool, first)));
        foreach (var part in parts.Skip(1))
        {
            ImmutableArray<Extent> extents = [.. part];
            ticket = seat.Queue.Add(new WorkerOperation(
                WorkerOperationKind.Map, epoch, seq, EngineStep.None, Lend(pool, extents), [], DescriptorsOf(pool, extents)) { IsPartOfTable = true });
        }

        return ticket;
    }

    private void CaughtUp(RankPoolState pool, WorkerSeat seat, LayoutDigest digest)
    {
        seat.CatchUpTicket = 0;
        if (digest != seat.CatchUpDigest)
        {
            Break(pool, seat);
            return;
        }

        seat.IsCaughtUp = !seat.IsClosing;
        if (seat.IsCaughtUp && seat.Connection?.TrySend(WorkerProtocol.TableComplete.Instance, []) == false)
        {
            Break(pool, seat);
        }
    }
}
