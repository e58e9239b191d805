using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <content>
/// A pool that holds more than its limit, since the limit was lowered: a map in flight is undone, warm extents are revoked, and for the rest its engine is
/// asked to shrink, again and again until it is within. Pages in use are never taken.
/// </content>
internal sealed partial class DomainState
{
    /// <summary>An operator wants a pool to give up what it doesn't use.</summary>
    public void TrimPool(TimeSpan now, long ticket, OperatorProtocol.TrimPool command)
    {
        _now = now;
        if (FindPoolForOperator(command.Pool, out var refusal) is not { } pool)
        {
            RefuseOperator(ticket, refusal!);
            return;
        }

        if (command.ByteCount < 0)
        {
            RefuseOperator(ticket, new Refusal(RefusalReason.InvalidCount, $"{command.ByteCount} bytes: give at least 0, which means all."));
            return;
        }

        var chosen = ChooseSpare(pool, command.ByteCount == 0 ? long.MaxValue : command.ByteCount);
        if (chosen.IsEmpty)
        {
            _port.ToOperator(ticket, new OperatorProtocol.PoolTrimmed(pool.Id, pool.Spec.Name, 0, 0));
            return;
        }

        Note(DomainEventKinds.Trimmed, $"asked for {chosen.Length} extents that it doesn't use", pool);
        AskForWarm(pool, chosen, ticket);
    }

    /// <summary>Extents without a used block beyond the pool's floor, so many bytes of them on each GPU as far as there are.</summary>
    private ImmutableArray<Extent> ChooseSpare(PoolState pool, long wantedBytes)
    {
        if (pool.Phase != PoolPhase.Ready || pool.Owner == default)
        {
            return [];
        }

        var spare = new long[pool.RankCount];
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            var found = RanksOf(pool).Views[rank]?.Ledger.FindAccount(pool.Id)?.Entry;
            spare[rank] = found is { } entry ? Math.Max(0, entry.HeldBytes - entry.FloorBytes - ComingBack(pool, rank)) : 0;
        }

        return ChooseWarm(pool, [.. Enumerable.Repeat(wantedBytes, pool.RankCount)], spare);
    }

    /// <summary>Looks whether the pool is above its limit anywhere, and if so sees to it that it doesn't stay so.</summary>
    private void HoldToLimit(PoolState pool)
    {
        var wasAbove = pool.IsAboveLimit;
        var excess = new long[pool.RankCount];
        pool.IsAboveLimit = false;
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            if (RanksOf(pool).Views[rank]?.Ledger.FindAccount(pool.Id)?.Entry is { IsAboveLimit: true } entry)
            {
                pool.IsAboveLimit = true;
                excess[rank] = Math.Min(entry.UsedBytes, entry.HeldBytes - entry.LimitBytes);
            }
        }

        if (!pool.IsAboveLimit)
        {
            if (wasAbove)
            {
                Note(DomainEventKinds.LimitReached, "it is within its limit now", pool);
            }

            return;
        }

        if (pool.Phase == PoolPhase.Ready && pool.Flight is { Allocation: not null, Decision.Kind: DecisionKind.Map })
        {
            // It was set aside under the old limit; told now, it would take the pool above the new one.
            Abort(pool, new Refusal(RefusalReason.LimitExceeded, $"The limit of {pool.Id} was lowered while these pages were being mapped; they are undone on all ranks."));
        }

        if (pool.Phase == PoolPhase.Ready && pool.Owner != default)
        {
            AskForExcess(pool, excess);
        }
    }

    private void AskForExcess(PoolState pool, long[] excess)
    {
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            excess[rank] -= excess[rank] > 0 ? ComingBack(pool, rank) : 0;
        }

        var chosen = ChooseWarm(pool, excess, null);
        if (!chosen.IsEmpty)
        {
            AskForWarm(pool, chosen, 0);
            for (var rank = 0; rank < pool.RankCount; rank++)
            {
                excess[rank] -= pool.BytesOn(rank, chosen);
            }
        }

        if (_settings.ShrinkDeadline > TimeSpan.Zero && pool.ShrinkPausedUntil <= _now && excess.Any(bytes => bytes > 0))
        {
            AskToShrink(
                Enumerable.Range(0, pool.RankCount).Where(rank => excess[rank] > 0).Select(rank => (pool, pool.Gpus[rank], excess[rank])),
                _now + _settings.ShrinkDeadline);
        }
    }

    /// <summary>Extents without a used block that nobody has asked for, idle longest first, until no rank wants more.</summary>
    /// <param name="pool">The pool.</param>
    /// <param name="wanted">What is wanted, by rank.</param>
    /// <param name="spare">What may go at most, by rank; null = whatever it takes.</param>
    private ImmutableArray<Extent> ChooseWarm(PoolState pool, long[] wanted, long[]? spare)
    {
        var chosen = ImmutableArray.CreateBuilder<Extent>();
        var taken = new long[pool.RankCount];
        foreach (var warm in pool.Warm.OrderByDescending(w => w.Idle))
        {
            if (!Enumerable.Range(0, pool.RankCount).Any(rank => taken[rank] < wanted[rank]))
            {
                break;
            }

            var extent = warm.Extent;
            var fits = spare is null || Enumerable.Range(0, pool.RankCount).All(rank => taken[rank] + pool.Layouts[rank].BytesOf(extent) <= spare[rank]);
            if (!fits || !pool.Holds(extent) || IsBeingFreed(pool, extent) || IsRevoked(pool, extent) || chosen.Contains(extent))
            {
                continue;
            }

            chosen.Add(extent);
            for (var rank = 0; rank < pool.RankCount; rank++)
            {
                taken[rank] += pool.Layouts[rank].BytesOf(extent);
            }
        }

        return chosen.ToImmutable();
    }

    private void AskForWarm(PoolState pool, ImmutableArray<Extent> extents, long ticket)
    {
        var revoke = new Revoke(++_lastRevokeId, pool, extents, _now + _settings.RevokeDeadline) { Ticket = ticket };
        _revokes.Add(revoke.Id, revoke);
        Meters.Revokes += extents.Length;
        _port.ToEngine(pool.Owner, new EngineProtocol.RevokeExtents(pool.Owner, pool.Id, revoke.Id, extents));
    }

    /// <summary>Tells who had the pool trimmed what came of it.</summary>
    private void AnswerTrim(Revoke revoke, ImmutableArray<Extent> givenUp)
    {
        if (revoke.Ticket != 0)
        {
            var pool = revoke.Pool;
            ImmutableArray<Extent> given = [.. revoke.Extents.Where(givenUp.Contains)];
            var rank = Enumerable.Range(0, pool.RankCount).MaxBy(r => pool.BytesOn(r, revoke.Extents));
            _port.ToOperator(revoke.Ticket, new OperatorProtocol.PoolTrimmed(
                pool.Id, pool.Spec.Name, pool.BytesOn(rank, revoke.Extents), pool.BytesOn(rank, given)));
        }
    }
}
