using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Sharing;

/// <summary>What a pool may have on one GPU, in bytes.</summary>
/// <param name="LimitBytes">What it may hold at most.</param>
/// <param name="FloorBytes">What others leave to it; at most the limit.</param>
/// <param name="Weight">Its share of what no floor claims, 1 to 1,000,000.</param>
public readonly record struct SharingTerms(long LimitBytes, long FloorBytes, int Weight);

/// <summary>
/// What an operator has laid down for the pools of a name, over what their engines ask for. Kept by name, so that it holds for the next pool of
/// that name too.
/// </summary>
/// <param name="Pool">Name of the pool.</param>
/// <param name="Epoch">The coordinator that took it in.</param>
/// <param name="Revision">Number of the change, rising per name; from 1.</param>
/// <param name="Limit">The limit on each GPU; none = as the engine asked.</param>
/// <param name="Floor">The floor on each GPU; none = as the engine asked, as far as the limit goes.</param>
/// <param name="Weight">The weight, 1 to 1,000,000; 0 = as the engine asked.</param>
public sealed record PoolPolicy(string Pool, Epoch Epoch, long Revision, MemoryAmount Limit, MemoryAmount Floor, int Weight)
{
    public const int MaxWeight = 1_000_000;

    /// <summary>GPUs for which something of their own may be laid down.</summary>
    public const int MaxGpus = 1024;

    /// <summary>What is laid down for single GPUs, by id; each at most once.</summary>
    public ImmutableArray<GpuPolicy> OnGpus { get; init; } = [];

    /// <summary>True when all of it can be carried out.</summary>
    public bool IsSound => Pool is { Length: >= 1 and <= 64 } && Revision >= 1 && IsKept(Limit) && IsKept(Floor) && Weight is >= 0 and <= MaxWeight
        && !OnGpus.IsDefault && OnGpus.Length <= MaxGpus && OnGpus.All(on => on is not null && IsKept(on.Limit) && IsKept(on.Floor))
        && OnGpus.Select(on => on.Gpu).Distinct().Count() == OnGpus.Length;

    /// <summary>The limit on that GPU; none = as the engine asked.</summary>
    public MemoryAmount LimitOn(GpuId gpu) => Find(gpu) is { Limit.IsNone: false } own ? own.Limit : Limit;

    /// <summary>The floor on that GPU; none = as the engine asked, as far as the limit goes.</summary>
    public MemoryAmount FloorOn(GpuId gpu) => Find(gpu) is { Floor.IsNone: false } own ? own.Floor : Floor;

    /// <summary>What the pool may have on a GPU that lends so much.</summary>
    public SharingTerms Over(PoolSpec spec, GpuId gpu, long capacityBytes)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var opened = TermsOf(spec, capacityBytes);
        var (limitThere, floorThere) = (LimitOn(gpu), FloorOn(gpu));
        var limit = limitThere.IsNone ? opened.LimitBytes : Math.Min(limitThere.BytesOf(capacityBytes), capacityBytes);
        return new SharingTerms(
            limit, floorThere.IsNone ? Math.Min(opened.FloorBytes, limit) : floorThere.BytesOf(capacityBytes), Weight == 0 ? opened.Weight : Weight);
    }

    /// <summary>What an engine asked for, on a GPU that lends so much.</summary>
    public static SharingTerms TermsOf(PoolSpec spec, long capacityBytes)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return new SharingTerms(spec.LimitBytes == 0 ? capacityBytes : Math.Min(spec.LimitBytes, capacityBytes), spec.FloorBytes, spec.Weight);
    }

    /// <summary>True when this was laid down after the other: by a later coordinator, or by the same one under a higher number.</summary>
    public bool IsLaterThan(PoolPolicy? other) =>
        other is null || Epoch > other.Epoch || (Epoch == other.Epoch && Revision > other.Revision);

    /// <summary>True when both lay down the same, under the same number.</summary>
    public bool Equals(PoolPolicy? other) =>
        other is not null && (Pool, Epoch, Revision, Limit, Floor, Weight) == (other.Pool, other.Epoch, other.Revision, other.Limit, other.Floor, other.Weight)
        && OnGpus.IsDefault == other.OnGpus.IsDefault && (OnGpus.IsDefault || OnGpus.SequenceEqual(other.OnGpus));

    public override int GetHashCode() => HashCode.Combine(Pool, Epoch, Revision, Limit, Floor, Weight);

    private GpuPolicy? Find(GpuId gpu) => OnGpus.FirstOrDefault(on => on.Gpu == gpu);

    private static bool IsKept(MemoryAmount amount) => amount.IsSound && amount.Unit != MemoryUnit.AsOpened;
}
