using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Sharing;

/// <summary>What an operator wants changed for one pool; what isn't given stays as it is.</summary>
/// <param name="Limit">The limit on each GPU.</param>
/// <param name="Floor">The floor on each GPU.</param>
/// <param name="Weight">The weight, 1 to 1,000,000; 0 = as it is, -1 = as the engine asked.</param>
/// <param name="Revision">Its number, above that of the last change; 0 = the next one.</param>
public readonly record struct PolicyChange(MemoryAmount Limit, MemoryAmount Floor, int Weight, long Revision)
{
    public const int WeightAsOpened = -1;
}

/// <summary>What becomes of a change by its number alone.</summary>
public enum RevisionVerdict : byte
{
    /// <summary>It is the latest, and can be tried.</summary>
    Next = 1,

    /// <summary>It is in force already: it was asked for before.</summary>
    Repeated = 2,

    /// <summary>A later one is in force.</summary>
    Stale = 3,

    /// <summary>Another change has that very number.</summary>
    Conflict = 4,
}

/// <summary>
/// All policies of a domain by pool name. The last revision wins, whoever asks and in whatever order requests come in; what several hosts have kept is
/// put together by <see cref="Merge"/>.
/// </summary>
public sealed class PolicyBook
{
    /// <summary>Names that have a policy, at most; beyond that the one that was changed longest ago is dropped, save those in use.</summary>
    public const int MaxPolicies = 1024;

    private readonly Dictionary<string, PoolPolicy> _policies = new(StringComparer.Ordinal);

    /// <summary>Rises with every change to the book.</summary>
    public long Version { get; private set; }

    /// <summary>All of them, by name.</summary>
    public ImmutableArray<PoolPolicy> Policies => [.. _policies.Values.OrderBy(p => p.Pool, StringComparer.Ordinal)];

    public PoolPolicy? Find(string pool) => _policies.GetValueOrDefault(pool);

    /// <summary>What a pool opened like that may have on a GPU that lends so much.</summary>
    public SharingTerms TermsOf(PoolSpec spec, GpuId gpu, long capacityBytes)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return Find(spec.Name)?.Over(spec, gpu, capacityBytes) ?? PoolPolicy.TermsOf(spec, capacityBytes);
    }

    /// <summary>Judges a change by its number, and works out the policy that it leads to. Changes nothing.</summary>
    /// <param name="pool">Name of the pool.</param>
    /// <param name="change">What changes.</param>
    /// <param name="gpus">On which GPUs limit and floor do; empty = on all for which nothing of their own is laid down.</param>
    /// <param name="epoch">The coordinator that takes it in.</param>
    /// <param name="policy">What it leads to.</param>
    public RevisionVerdict Judge(string pool, in PolicyChange change, ImmutableArray<GpuId> gpus, Epoch epoch, out PoolPolicy policy)
    {
        var current = Find(pool);
        var last = current?.Revision ?? 0;
        var (limit, floor, isForAll) = (current?.Limit ?? MemoryAmount.None, current?.Floor ?? MemoryAmount.None, gpus.IsDefaultOrEmpty);
        policy = new PoolPolicy(
            pool, epoch, change.Revision == 0 ? last + 1 : change.Revision,
            isForAll ? Changed(change.Limit, limit) : limit, isForAll ? Changed(change.Floor, floor) : floor,
            change.Weight switch
            {
                0 => current?.Weight ?? 0,
                PolicyChange.WeightAsOpened => 0,
                var weight => weight,
            })
        {
            OnGpus = isForAll ? current?.OnGpus ?? [] : Changed(change, gpus, current?.OnGpus ?? []),
        };
        if (policy.Revision > last)
        {
            return RevisionVerdict.Next;
        }

        return policy.Revision < last ? RevisionVerdict.Stale
            : policy with { Epoch = current!.Epoch } == current ? RevisionVerdict.Repeated
            : RevisionVerdict.Conflict;
    }

    /// <summary>Puts a policy in force.</summary>
    /// <param name="policy">One that <see cref="Judge"/> gave.</param>
    /// <param name="isInUse">Says of which names policies must not be dropped to make room.</param>
    public void Set(PoolPolicy policy, Func<string, bool> isInUse)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(isInUse);
        _policies[policy.Pool] = policy;
        Version++;
        if (_policies.Count > MaxPolicies && TryFindOldest(policy.Pool, isInUse, out var oldest))
        {
            _policies.Remove(oldest);
        }
    }

    /// <summary>Takes in what a host has kept, as far as it is later than what is known.</summary>
    /// <returns>What was taken in.</returns>
    public ImmutableArray<PoolPolicy> Merge(ImmutableArray<PoolPolicy> kept)
    {
        var merged = ImmutableArray.CreateBuilder<PoolPolicy>();
        foreach (var policy in kept.IsDefault ? [] : kept)
        {
            if (policy is { IsSound: true } && policy.IsLaterThan(Find(policy.Pool)) && (_policies.Count < MaxPolicies || _policies.ContainsKey(policy.Pool)))
            {
                _policies[policy.Pool] = policy;
                merged.Add(policy);
            }
        }

        Version += merged.Count == 0 ? 0 : 1;
        return merged.ToImmutable();
    }

    private static ImmutableArray<GpuPolicy> Changed(PolicyChange change, ImmutableArray<GpuId> gpus, ImmutableArray<GpuPolicy> current) =>
    [
        .. current.Where(on => !gpus.Contains(on.Gpu))
            .Concat(gpus.Distinct().Select(gpu => current.FirstOrDefault(on => on.Gpu == gpu) ?? new GpuPolicy(gpu, MemoryAmount.None, MemoryAmount.None))
                .Select(on => on with { Limit = Changed(change.Limit, on.Limit), Floor = Changed(change.Floor, on.Floor) })
                .Where(on => on is not { Limit.IsNone: true, Floor.IsNone: true }))
            .OrderBy(on => on.Gpu),
    ];

    private static MemoryAmount Changed(MemoryAmount wanted, MemoryAmount current) => wanted.Unit switch
    {
        MemoryUnit.None => current,
        MemoryUnit.AsOpened => MemoryAmount.None,
        _ => wanted,
    };

    private bool TryFindOldest(string newest, Func<string, bool> isInUse, [NotNullWhen(true)] out string? oldest)
    {
        oldest = _policies.Values.Where(p => p.Pool != newest && !isInUse(p.Pool))
            .OrderBy(p => p.Epoch).ThenBy(p => p.Revision).Select(p => p.Pool).FirstOrDefault();
        return oldest is not null;
    }
}
