using System.Collections.Immutable;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Sharing;

/// <summary>A pool that may be asked to shrink on one GPU.</summary>
/// <param name="Pool">The pool.</param>
/// <param name="LeavingBytes">What it has given up there, or was asked for, and still holds.</param>
public readonly record struct ShrinkCandidate(PoolId Pool, long LeavingBytes);

/// <summary>Bytes that a pool is asked to give up on one GPU.</summary>
public readonly record struct ShrinkShare(PoolId Pool, long ByteCount);

/// <summary>Which pools are asked to shrink when a GPU is short of memory and nobody's warm extents suffice.</summary>
/// <param name="Shares">Who is asked for how much, the largest first.</param>
/// <param name="MissingBytes">What is missing even then; 0 when they suffice.</param>
/// <remarks>
/// Nobody shrinks below its share, and nobody is made room for above its own. So what one pool was asked to give to another it can never ask
/// back: two pools don't shrink each other, whatever they do in between.
/// </remarks>
public sealed record ShrinkPlan(ImmutableArray<ShrinkShare> Shares, long MissingBytes)
{
    /// <summary>A pool that is above its share by less than this part of it is left in peace: an engine's step would be disturbed for a page or two.</summary>
    public const double MinimumExcess = 1.0 / 32;

    /// <summary>Asks pools above their share, in the policy's order. Changes nothing.</summary>
    /// <param name="shortageBytes">What is missing on the GPU.</param>
    /// <param name="requester">The pool that needs it.</param>
    /// <param name="requestedBytes">All that it asks for on the GPU.</param>
    /// <param name="candidates">Pools that may be asked; those that the ledger doesn't know, and the requester, are passed over.</param>
    /// <param name="ledger">The GPU's ledger.</param>
    /// <param name="policy">Says what a share is.</param>
    public static ShrinkPlan Choose(
        long shortageBytes, PoolId requester, long requestedBytes, IEnumerable<ShrinkCandidate> candidates, GpuLedger ledger, ISharingPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(candidates);
        ArgumentNullException.ThrowIfNull(ledger);
        if (shortageBytes <= 0)
        {
            return new ShrinkPlan([], 0);
        }

        if (!ledger.TryFind(requester, out var own) || own.HeldBytes + requestedBytes > policy.ShareBytes(ledger, own))
        {
            return new ShrinkPlan([], shortageBytes);
        }

        var demand = new ShareDemand(requester, requestedBytes);
        var shares = ImmutableArray.CreateBuilder<ShrinkShare>();
        var missing = shortageBytes;
        foreach (var (pool, excess) in candidates
            .Where(candidate => candidate.Pool != requester)
            .DistinctBy(candidate => candidate.Pool)
            .Select(candidate => (candidate.Pool, Excess: ExcessOf(candidate, ledger, policy, demand, out var urgency), Urgency: urgency))
            .Where(candidate => candidate.Excess > 0)
            .OrderByDescending(candidate => candidate.Urgency).ThenBy(candidate => candidate.Pool)
            .Select(candidate => (candidate.Pool, candidate.Excess)))
        {
            if (missing == 0)
            {
                break;
            }

            var bytes = Math.Min(missing, excess);
            shares.Add(new ShrinkShare(pool, bytes));
            missing -= bytes;
        }

        return new ShrinkPlan(shares.ToImmutable(), missing);
    }

    /// <summary>What the pool uses above its share, less what is leaving; 0 when that is hardly anything.</summary>
    private static long ExcessOf(ShrinkCandidate candidate, GpuLedger ledger, ISharingPolicy policy, in ShareDemand demand, out double urgency)
    {
        urgency = 0;
        if (!ledger.TryFind(candidate.Pool, out var entry))
        {
            return 0;
        }

        var share = policy.ShareBytes(ledger, entry, demand);
        var excess = Math.Min(entry.UsedBytes, entry.HeldBytes - share) - candidate.LeavingBytes;
        urgency = policy.UrgencyOf(entry, excess);
        return excess > share * MinimumExcess ? excess : 0;
    }
}
