using System.Collections.Immutable;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Geometry;

/// <summary>
/// Where everything lies in the virtual range (arena) that one rank reserves for a pool: derived from the geometry alone, so that
/// host, worker and copier agree without talking.
/// </summary>
/// <remarks>
/// Within a unit a block holds its layers in order, and within a layer its buffers, each <c>BlockBytes</c> long; block b starts at
/// b times the unit's stride. The tensor of one layer and buffer is thus strided over blocks, in every layout.
/// </remarks>
public sealed class ArenaLayout
{
    private readonly ImmutableArray<KvGroupShape> _groups;
    private readonly ImmutableArray<ImmutableArray<MappingUnit>> _unitsByGroup;

    private ArenaLayout(ImmutableArray<KvGroupShape> groups, ImmutableArray<MappingUnit> units, long byteCount)
    {
        _groups = groups;
        Units = units;
        ByteCount = byteCount;
        _unitsByGroup = [.. Enumerable.Range(0, groups.Length).Select(g => units.Where(u => u.Group == g).ToImmutableArray())];
    }

    /// <summary>All regions, by ascending offset.</summary>
    public ImmutableArray<MappingUnit> Units { get; }

    /// <summary>Virtual bytes to reserve.</summary>
    public long ByteCount { get; }

    public int GroupCount => _groups.Length;

    /// <summary>Lays out the arena of one rank of a geometry that <see cref="GeometryRules"/> accepts.</summary>
    public static ArenaLayout Create(PoolGeometry geometry, int rank)
    {
        var groups = geometry.Ranks[rank].Groups;
        var units = ImmutableArray.CreateBuilder<MappingUnit>();
        long offset = 0;
        for (var g = 0; g < groups.Length; g++)
        {
            var shape = groups[g];
            var (layers, buffers) = geometry.Layout switch
            {
                KvLayout.Contiguous => (shape.LayerCount, shape.BufferCount),
                KvLayout.Grouped => (Math.Min(geometry.LayersPerMapping, shape.LayerCount), shape.BufferCount),
                KvLayout.PerLayer => (1, 1),
                _ => throw new ArgumentOutOfRangeException(nameof(geometry), geometry.Layout, "No such layout."),
            };

            for (var layer = 0; layer < shape.LayerCount; layer += layers)
            {
                var layerCount = Math.Min(layers, shape.LayerCount - layer);
                for (var buffer = 0; buffer < shape.BufferCount; buffer += buffers)
                {
                    var unit = new MappingUnit(
                        units.Count, g, layer, layerCount, buffer, buffers, offset,
                        checked(shape.PageBytes * layerCount * buffers),
                        checked(shape.BlockBytes * layerCount * buffers),
                        geometry.VirtualPageCounts[g]);
                    offset = checked(offset + unit.ByteCount);
                    units.Add(unit);
                }
            }
        }

        return new ArenaLayout(groups, units.ToImmutable(), offset);
    }

    /// <summary>The regions of one KV group: as many memory handles has an extent of it.</summary>
    public ImmutableArray<MappingUnit> UnitsOf(int group) => _unitsByGroup[group];

    /// <summary>Physical bytes of an extent on this rank, over all its mapping units.</summary>
    public long BytesOf(in Paging.Extent extent) => _groups[extent.Group].BytesPerPageId * extent.PageCount;

    /// <summary>Where one block of one layer and buffer starts in the arena, in bytes.</summary>
    public long OffsetOf(int group, BlockId block, int layer, int buffer)
    {
        var shape = _groups[group];
        foreach (var unit in _unitsByGroup[group])
        {
            if (layer >= unit.FirstLayer && layer < unit.FirstLayer + unit.LayerCount
                && buffer >= unit.FirstBuffer && buffer < unit.FirstBuffer + unit.BufferCount)
            {
                var within = (((long)(layer - unit.FirstLayer) * unit.BufferCount) + (buffer - unit.FirstBuffer)) * shape.BlockBytes;
                return unit.ArenaOffset + ((long)block.Value * unit.BlockStride) + within;
            }
        }

        throw new ArgumentOutOfRangeException(nameof(layer), $"Group {group} has no layer {layer} with buffer {buffer} on this rank.");
    }

    /// <summary>The shape of one KV group on this rank.</summary>
    public KvGroupShape ShapeOf(int group) => _groups[group];
}
