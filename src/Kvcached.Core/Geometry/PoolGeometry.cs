using System.Collections.Immutable;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Geometry;

/// <summary>
/// The shape of one pool: how many virtual pages each KV group has, what each rank keeps of them, and how they are mapped.
/// Checked by <see cref="GeometryRules"/> before anyone believes it.
/// </summary>
/// <param name="Layout">What one driver mapping covers.</param>
/// <param name="LayersPerMapping">Layers per mapping for <see cref="KvLayout.Grouped"/>, from 1; 0 for the other layouts.</param>
/// <param name="VirtualPageCounts">Virtual pages of each KV group, from 1. Virtual room costs no memory.</param>
/// <param name="Ranks">The ranks in order, TP within PP; at least one.</param>
public sealed record PoolGeometry(
    KvLayout Layout,
    int LayersPerMapping,
    ImmutableArray<int> VirtualPageCounts,
    ImmutableArray<RankShape> Ranks)
{
    public int GroupCount => VirtualPageCounts.Length;

    /// <summary>The slots of a group's pages: the same on every rank.</summary>
    public PageSlots SlotsOf(int group) => new(Ranks[0].Groups[group].PageBytes, Ranks[0].Groups[group].BlockBytes);

    public bool Equals(PoolGeometry? other) =>
        other is not null && Layout == other.Layout && LayersPerMapping == other.LayersPerMapping
        && VirtualPageCounts.AsSpan().SequenceEqual(other.VirtualPageCounts.AsSpan())
        && Ranks.AsSpan().SequenceEqual(other.Ranks.AsSpan());

    /// <summary>Number of the rank on that GPU; -1 when there is none.</summary>
    public int RankOf(GpuId gpu)
    {
        var rank = 0;
        while (rank < Ranks.Length && Ranks[rank].Gpu != gpu)
        {
            rank++;
        }

        return rank < Ranks.Length ? rank : -1;
    }

    public override int GetHashCode() => HashCode.Combine(Layout, LayersPerMapping, VirtualPageCounts.Length, Ranks.Length);
}
