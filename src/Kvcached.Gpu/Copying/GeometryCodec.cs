using System.Collections.Immutable;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Gpu.Copying;

/// <summary>
/// Writes the part of a pool's geometry that one rank needs. It comes back as a geometry with that one rank; whether it is sound is
/// for <see cref="GeometryRules"/> to say.
/// </summary>
internal static class GeometryCodec
{
    private const int MaxNameBytes = 256;
    private const int MinGroupBytes = 4 + 1 + 4 + 4 + 4 + 8 + 8 + 4;

    public static void Write(ref BodyWriter writer, PoolGeometry geometry, int rank)
    {
        var shape = geometry.Ranks[rank];
        writer.WriteByte((byte)geometry.Layout);
        writer.WriteInt32(geometry.LayersPerMapping);
        writer.WriteText(shape.Gpu.Value);
        writer.WriteInt32(shape.Groups.Length);
        for (var g = 0; g < shape.Groups.Length; g++)
        {
            var group = shape.Groups[g];
            writer.WriteText(group.Name);
            writer.WriteByte((byte)group.Kind);
            writer.WriteInt32(group.TokensPerBlock);
            writer.WriteInt32(group.LayerCount);
            writer.WriteInt32(group.BufferCount);
            writer.WriteInt64(group.BlockBytes);
            writer.WriteInt64(group.PageBytes);
            writer.WriteInt32(geometry.VirtualPageCounts[g]);
        }
    }

    public static PoolGeometry Read(ref BodyReader reader)
    {
        var layout = (KvLayout)reader.ReadByte();
        var layersPerMapping = reader.ReadInt32();
        if (!GpuId.TryParse(reader.ReadText(GpuId.MaxLength), out var gpu))
        {
            reader.Fail("a rank names no GPU");
        }

        var groupCount = reader.ReadCount(GeometryRules.MaxGroups, MinGroupBytes);
        var groups = ImmutableArray.CreateBuilder<KvGroupShape>(groupCount);
        var pageCounts = ImmutableArray.CreateBuilder<int>(groupCount);
        for (var g = 0; g < groupCount; g++)
        {
            groups.Add(new KvGroupShape(
                reader.ReadText(MaxNameBytes),
                (KvGroupKind)reader.ReadByte(),
                reader.ReadInt32(),
                reader.ReadInt32(),
                reader.ReadInt32(),
                reader.ReadInt64(),
                reader.ReadInt64()));
            pageCounts.Add(reader.ReadInt32());
        }

        return new PoolGeometry(layout, layersPerMapping, pageCounts.MoveToImmutable(), [new RankShape(gpu, groups.MoveToImmutable())]);
    }
}
