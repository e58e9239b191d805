using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Ranks;

/// <summary>What a rank knows of operators' policies: kept for the coordinator, and followed where a floor needs memory.</summary>
public sealed class RankPolicies
{
    private PolicyFile? _file;

    /// <summary>As the coordinator last told, or as the file says.</summary>
    internal ImmutableArray<PoolPolicy> All { get; private set; } = [];

    /// <summary>Keeps them in that file from now on, and begins with what it says. To be called once, before any page mapper.</summary>
    /// <returns>A sentence for the log; null when there is nothing to say.</returns>
    public string? Keep(PolicyFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        _file = file;
        var problem = file.Load(out var policies);
        All = policies;
        return problem;
    }

    /// <summary>What is to be kept for a pool, whoever uses it or not, in bytes.</summary>
    internal long FloorOf(PoolSpec spec, GpuId gpu, long capacityBytes) =>
        All.FirstOrDefault(policy => policy.Pool == spec.Name)?.Over(spec, gpu, capacityBytes).FloorBytes ?? spec.FloorBytes;

    internal void Take(ImmutableArray<PoolPolicy> policies) => All = policies.IsDefault ? [] : [.. policies.Where(policy => policy is { IsSound: true })];

    /// <summary>Writes them down; may be called from another thread than <see cref="Take"/>.</summary>
    /// <returns>Empty, or why that failed.</returns>
    internal string Save(ImmutableArray<PoolPolicy> policies) => _file?.Save(policies) ?? string.Empty;
}
