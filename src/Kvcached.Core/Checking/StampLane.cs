using System.Collections.Immutable;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Checking;

/// <summary>Where the blocks of one layer and buffer of a KV group lie: block b starts <c>ArenaOffset + b × Stride</c> into the arena.</summary>
/// <param name="Layer">Layer, counted within the group on this rank.</param>
/// <param name="Buffer">Buffer of the layer.</param>
/// <param name="ArenaOffset">Where block 0 starts, in bytes.</param>
/// <param name="Stride">Bytes from one block to the next.</param>
public readonly record struct StampLane(int Layer, int Buffer, long ArenaOffset, long Stride)
{
    /// <summary>The lanes of a group, layer by layer and within a layer buffer by buffer.</summary>
    public static ImmutableArray<StampLane> Of(ArenaLayout layout, int group)
    {
        var shape = layout.ShapeOf(group);
        var lanes = ImmutableArray.CreateBuilder<StampLane>(shape.LayerCount * shape.BufferCount);
        foreach (var unit in layout.UnitsOf(group))
        {
            for (var lane = 0; lane < unit.LayerCount * unit.BufferCount; lane++)
            {
                lanes.Add(new StampLane(
                    unit.FirstLayer + (lane / unit.BufferCount),
                    unit.FirstBuffer + (lane % unit.BufferCount),
                    unit.ArenaOffset + (lane * shape.BlockBytes),
                    unit.BlockStride));
            }
        }

        return lanes.MoveToImmutable();
    }

    /// <summary>Where a block starts in the arena, in bytes.</summary>
    public long OffsetOf(BlockId block) => ArenaOffset + (block.Value * Stride);
}
