using System.Collections.Immutable;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Geometry;

/// <summary>What one rank of a pool holds: its GPU and its share of every KV group, in the pool's order of groups.</summary>
public sealed record RankShape(GpuId Gpu, ImmutableArray<KvGroupShape> Groups)
{
    public bool Equals(RankShape? other) => other is not null && Gpu == other.Gpu && Groups.AsSpan().SequenceEqual(other.Groups.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Gpu, Groups.IsDefault ? 0 : Groups.Length);
}
