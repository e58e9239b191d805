using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Sharing;

/// <summary>
/// Who makes room for whom when a GPU is short. Limits and floors hold under every policy; it says what lies between them. Changes nothing, keeps nothing.
/// </summary>
public interface ISharingPolicy
{
    /// <summary>What it is called in settings.</summary>
    string Name { get; }

    /// <summary>
    /// What the pool should come down to when others want memory, in bytes: nobody is asked to shrink below it, nor made room for above it. At least its floor and at
    /// most its limit. Where one pool can make another shrink, that other must not be able to make it shrink back.
    /// </summary>
    /// <param name="ledger">The GPU.</param>
    /// <param name="entry">The pool's account there.</param>
    /// <param name="demand">What somebody is about to hold there in addition.</param>
    long ShareBytes(GpuLedger ledger, in LedgerEntry entry, in ShareDemand demand = default);

    /// <summary>Who is asked first among pools above their share: the one with the highest number.</summary>
    /// <param name="entry">The pool's account.</param>
    /// <param name="excessBytes">What it holds above its share.</param>
    double UrgencyOf(in LedgerEntry entry, long excessBytes);
}

/// <summary>What a pool asks for on a GPU beyond what it holds.</summary>
public readonly record struct ShareDemand(PoolId Pool, long ByteCount);

/// <summary>The policies there are.</summary>
public static class SharingPolicies
{
    public static ISharingPolicy Default => ProportionalSharing.Instance;

    public static IReadOnlyList<ISharingPolicy> All { get; } = [ProportionalSharing.Instance, PrioritySharing.Instance];

    public static bool TryFind(string name, [NotNullWhen(true)] out ISharingPolicy? policy)
    {
        policy = All.FirstOrDefault(candidate => candidate.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
        return policy is not null;
    }
}
