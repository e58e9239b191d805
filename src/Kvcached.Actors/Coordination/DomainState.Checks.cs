using System.Collections.Immutable;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <content>
/// What an earlier coordinator told an engine isn't known to its successor: a grant that the ranks hold may have been refused, or returned and
/// answered, and a pool withdrawn. So engines are asked which of these extents they hold; what they don't know is unmapped, and a pool that they
/// don't know is closed by them.
/// </content>
internal sealed partial class DomainState
{
    /// <summary>Extents in one question at most.</summary>
    private const int MaxExtentsPerCheck = 4096;

    /// <summary>Pools with an owner, and extents of those, of which that owner may not know.</summary>
    public int UnconfirmedCount => _pools.Values.Where(p => p.Owner != default).Sum(p => p.Unconfirmed.Count + (p.IsKnownToOwner ? 0 : 1));

    /// <summary>An engine says which of the extents that it was asked about it holds.</summary>
    public void ExtentsChecked(TimeSpan now, EngineProtocol.ExtentsChecked answer)
    {
        _now = now;

        // What an engine held when an earlier coordinator asked, it may have returned to that one since.
        if (answer.Epoch != Epoch || !_pools.TryGetValue(answer.Pool, out var pool) || pool.Owner != answer.Session
            || pool.Phase is not (PoolPhase.Ready or PoolPhase.Stopped or PoolPhase.Lost))
        {
            return;
        }

        pool.IsKnownToOwner = true;
        if (pool.Phase == PoolPhase.Lost)
        {
            // It has yet to close it.
            return;
        }

        foreach (var extent in answer.Held.IsDefault ? [] : answer.Held)
        {
            pool.Unconfirmed.Settle(extent);
        }

        var unknown = (answer.Unknown.IsDefault ? [] : answer.Unknown)
            .Where(e => pool.Unconfirmed.Settle(e) && pool.Holds(e) && !IsBeingFreed(pool, e)).ToImmutableArray();
        if (unknown.Length > 0)
        {
            // It may have used them, and returned them to an earlier coordinator under a fence that ended with it.
            _port.Warn($"{pool.Id} ('{pool.Spec.Name}'): its engine doesn't know of {unknown.Length} extents that its ranks hold; they are unmapped");
            EnqueueFree(pool, new PendingFree(null, unknown, EngineStep.Sync, now));
            Pump(pool);
        }
    }

    private void CheckUnconfirmed(PoolState pool)
    {
        var unconfirmed = pool.Unconfirmed;
        if ((unconfirmed.Count == 0 && pool.IsKnownToOwner) || pool.Owner == default || pool.Phase is not (PoolPhase.Ready or PoolPhase.Stopped or PoolPhase.Lost)
            || (unconfirmed.AskedAt is { } askedAt && _now - askedAt < _settings.ResendInterval))
        {
            return;
        }

        unconfirmed.AskedAt = _now;
        ImmutableArray<GrantedExtent> asked =
            [.. unconfirmed.TakeTurns(MaxExtentsPerCheck, e => pool.Holds(e)).Select(e => new GrantedExtent(e, pool.RequestOf(e)))];
        if (asked.Length > 0 || !pool.IsKnownToOwner)
        {
            _port.ToEngine(pool.Owner, new EngineProtocol.CheckExtents(pool.Owner, pool.Id, Epoch, asked));
        }
    }
}
