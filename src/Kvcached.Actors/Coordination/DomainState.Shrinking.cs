using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Coordination;

/// <content>
/// Asking pools above their weighted share to shrink, when what is warm doesn't suffice. What they give back is the waiting request's, since nobody
/// passes it; who gives nothing by the deadline is left alone for a while.
/// </content>
internal sealed partial class DomainState
{
    private readonly Dictionary<long, Shrink> _shrinks = [];

    private sealed class Shrink(long id, PoolState pool, long[] missingBytes, TimeSpan deadlineAt)
    {
        public long Id => id;

        public PoolState Pool => pool;

        /// <summary>What it hasn't given back yet, by rank.</summary>
        public long[] MissingBytes => missingBytes;

        public TimeSpan DeadlineAt => deadlineAt;
    }

    /// <summary>Adds to the list who is to shrink on a GPU. False when some bytes would be missing all the same.</summary>
    private bool TryPlanShrinks(
        PoolState pool, GpuId gpu, long requestedBytes, long missingBytes, ReclaimPlan warm, List<(PoolState Pool, GpuId Gpu, long ByteCount)> shrinks)
    {
        if (_settings.ShrinkDeadline <= TimeSpan.Zero)
        {
            return false;
        }

        var plan = ShrinkPlan.Choose(missingBytes, pool.Id, requestedBytes, ShrinkCandidatesOn(gpu, warm), _ranks[gpu].Ledger, _settings.SharingPolicy);
        shrinks.AddRange(plan.Shares.Select(share => (_pools[share.Pool], gpu, share.ByteCount)));
        return plan.MissingBytes == 0;
    }

    /// <summary>Pools on that GPU that may be asked to shrink, beyond what is asked of them by that plan.</summary>
    private List<ShrinkCandidate> ShrinkCandidatesOn(GpuId gpu, ReclaimPlan warm)
    {
        var candidates = new List<ShrinkCandidate>();
        foreach (var holder in _pools.Values)
        {
            if (holder.RankOf(gpu) is >= 0 and var rank && holder.Phase == PoolPhase.Ready && holder.Owner != default && holder.ShrinkPausedUntil <= _now)
            {
                var leaving = ComingBack(holder, rank) + warm.Revocations.Where(r => r.Pool == holder.Id).Sum(r => r.ByteCount);
                candidates.Add(new ShrinkCandidate(holder.Id, leaving));
            }
        }

        return candidates;
    }

    /// <summary>Asks each pool once for all its GPUs, since what it gives up goes on all of them.</summary>
    private void AskToShrink(IEnumerable<(PoolState Pool, GpuId Gpu, long ByteCount)> shrinks, TimeSpan requestDeadlineAt)
    {
        foreach (var group in shrinks.GroupBy(s => s.Pool))
        {
            var holder = group.Key;
            var missing = new long[holder.RankCount];
            foreach (var (_, gpu, bytes) in group)
            {
                missing[holder.RankOf(gpu)] += bytes;
            }

            var shrink = new Shrink(++_lastRevokeId, holder, missing, Min(_now + _settings.ShrinkDeadline, requestDeadlineAt));
            _shrinks.Add(shrink.Id, shrink);
            Meters.Shrinks++;
            Note(DomainEventKinds.ShrinkRequested, $"asked for {Core.Units.ByteSize.Format(missing.Max())} on {string.Join(", ", group.Select(s => s.Gpu))}", holder);
            _port.ToEngine(holder.Owner, new EngineProtocol.ShrinkRequested(
                holder.Owner, holder.Id, shrink.Id, [.. group.Select(s => new GpuBytes(s.Gpu, s.ByteCount))], shrink.DeadlineAt - _now));
        }
    }

    /// <summary>Extents leave a pool: what it was asked for is less by so much, whether they leave for it or not. Those that were revoked were asked for apart.</summary>
    private void NoteShrunk(PoolState pool, ImmutableArray<Extent> extents)
    {
        foreach (var shrink in _shrinks.Values.Where(s => ReferenceEquals(s.Pool, pool)).ToArray())
        {
            ImmutableArray<Extent> given = [.. extents.Where(e => !IsRevoked(pool, e))];
            for (var rank = 0; rank < pool.RankCount; rank++)
            {
                shrink.MissingBytes[rank] -= pool.BytesOn(rank, given);
            }

            if (Array.TrueForAll(shrink.MissingBytes, bytes => bytes <= 0))
            {
                _shrinks.Remove(shrink.Id);
            }
        }
    }

    private void ExpireShrinks()
    {
        var expired = _shrinks.Values.Where(s => s.DeadlineAt <= _now).ToArray();
        foreach (var shrink in expired)
        {
            _shrinks.Remove(shrink.Id);
            PauseShrinking(shrink.Pool);
        }

        if (expired.Length > 0)
        {
            MemoryWasFreed();
        }
    }

    /// <summary>It uses all that it has, or doesn't answer: asking again at once would only make others wait.</summary>
    private void PauseShrinking(PoolState pool) => pool.ShrinkPausedUntil = _now + _settings.ShrinkPause;

    private void DropShrinksOf(PoolState pool)
    {
        foreach (var shrink in _shrinks.Values.Where(s => ReferenceEquals(s.Pool, pool)).ToArray())
        {
            _shrinks.Remove(shrink.Id);
        }
    }
}
