using System.Collections.Immutable;

namespace Kvcached.Core.Geometry;

/// <summary>What a model keeps per layer: its KV groups, and which layer belongs to which.</summary>
/// <param name="Name">Name of the model.</param>
/// <param name="Groups">KV groups, in the order that its pools have.</param>
/// <param name="GroupOfLayer">Index of the group of each layer, in the order of layers.</param>
public sealed record ModelShape(string Name, ImmutableArray<ModelKvGroup> Groups, ImmutableArray<int> GroupOfLayer)
{
    public int LayerCount => GroupOfLayer.Length;

    /// <summary>Layers of a group among all layers of the model.</summary>
    public int LayersOf(int group) => GroupOfLayer.Count(g => g == group);

    /// <summary>Layers of a group among those from <paramref name="firstLayer"/> on.</summary>
    public int LayersOf(int group, int firstLayer, int layerCount) =>
        GroupOfLayer.AsSpan().Slice(firstLayer, layerCount).Count(group);

    public bool Equals(ModelShape? other) =>
        other is not null && Name == other.Name && Groups.SequenceEqual(other.Groups) && GroupOfLayer.SequenceEqual(other.GroupOfLayer);

    public override int GetHashCode() => HashCode.Combine(Name, Groups.Length, GroupOfLayer.Length);
}
