using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;

namespace Kvcached.Core.Contracts;

/// <summary>
/// Pools as engines describe them on the wire. Numbers and names are carried as they are; whether they make sense is for
/// <see cref="GeometryRules"/> and the coordinator to say, in a typed refusal.
/// </summary>
public static class WirePools
{
    private const int LeastGroupBytes = sizeof(int) + 1 + (3 * sizeof(int)) + (2 * sizeof(long));
    private const int LeastRankBytes = 1 + sizeof(int);

    public static void WritePoolSpec(this ref WireWriter writer, PoolSpec spec)
    {
        writer.WriteText(spec.Name ?? string.Empty);
        writer.WriteGeometry(spec.Geometry);
        writer.WriteByte((byte)spec.Target);
        writer.WriteInt64(spec.LimitBytes);
        writer.WriteInt64(spec.FloorBytes);
        writer.WriteInt32(spec.Weight);
        writer.WriteInt64(spec.OwnerUserId);
    }

    /// <summary>Reads a specification; a target that isn't defined is a fault.</summary>
    public static bool TryReadPoolSpec(this ref WireReader reader, [NotNullWhen(true)] out PoolSpec? spec)
    {
        spec = null;
        if (!reader.TryReadText(out var name) || !reader.TryReadGeometry(out var geometry) || !reader.TryReadByte(out var target))
        {
            return false;
        }

        if ((PoolTarget)target is not (PoolTarget.Host or PoolTarget.Worker))
        {
            return reader.Fail(WireFault.UndefinedValue);
        }

        if (!reader.TryReadInt64(out var limitBytes) || !reader.TryReadInt64(out var floorBytes) || !reader.TryReadInt32(out var weight)
            || !reader.TryReadInt64(out var ownerUserId))
        {
            return false;
        }

        spec = new PoolSpec(name, geometry, (PoolTarget)target, limitBytes, floorBytes, weight) { OwnerUserId = ownerUserId };
        return true;
    }

    public static void WriteGeometry(this ref WireWriter writer, PoolGeometry geometry)
    {
        writer.WriteByte((byte)geometry.Layout);
        writer.WriteInt32(geometry.LayersPerMapping);
        var pageCounts = geometry.VirtualPageCounts.AsSpan();
        writer.WriteInt32(pageCounts.Length);
        foreach (var pageCount in pageCounts)
        {
            writer.WriteInt32(pageCount);
        }

        var ranks = geometry.Ranks.AsSpan();
        writer.WriteInt32(ranks.Length);
        foreach (var rank in ranks)
        {
            writer.WriteGpuId(rank.Gpu);
            var groups = rank.Groups.AsSpan();
            writer.WriteInt32(groups.Length);
            foreach (var group in groups)
            {
                WriteGroup(ref writer, group);
            }
        }
    }

    /// <summary>Reads a geometry; a layout or kind that isn't defined is a fault.</summary>
    public static bool TryReadGeometry(this ref WireReader reader, [NotNullWhen(true)] out PoolGeometry? geometry)
    {
        geometry = null;
        if (!reader.TryReadByte(out var layout))
        {
            return false;
        }

        if ((KvLayout)layout is < KvLayout.Contiguous or > KvLayout.PerLayer)
        {
            return reader.Fail(WireFault.UndefinedValue);
        }

        if (!reader.TryReadInt32(out var layersPerMapping) || !TryReadPageCounts(ref reader, out var pageCounts)
            || !TryReadRanks(ref reader, out var ranks))
        {
            return false;
        }

        geometry = new PoolGeometry((KvLayout)layout, layersPerMapping, pageCounts, ranks);
        return true;
    }

    private static bool TryReadPageCounts(ref WireReader reader, out ImmutableArray<int> pageCounts)
    {
        pageCounts = [];
        if (!reader.TryReadCount(sizeof(int), out var count))
        {
            return false;
        }

        var items = new int[count];
        foreach (ref var item in items.AsSpan())
        {
            // Can't fail: the count was measured against the bytes.
            reader.TryReadInt32(out item);
        }

        pageCounts = ImmutableCollectionsMarshal.AsImmutableArray(items);
        return true;
    }

    private static bool TryReadRanks(ref WireReader reader, out ImmutableArray<RankShape> ranks)
    {
        ranks = [];
        if (!reader.TryReadCount(LeastRankBytes, out var count))
        {
            return false;
        }

        var items = new RankShape[count];
        for (var r = 0; r < items.Length; r++)
        {
            if (!reader.TryReadGpuId(out var gpu) || !TryReadGroups(ref reader, out var groups))
            {
                return false;
            }

            items[r] = new RankShape(gpu, groups);
        }

        ranks = ImmutableCollectionsMarshal.AsImmutableArray(items);
        return true;
    }

    private static bool TryReadGroups(ref WireReader reader, out ImmutableArray<KvGroupShape> groups)
    {
        groups = [];
        if (!reader.TryReadCount(LeastGroupBytes, out var count))
        {
            return false;
        }

        var items = new KvGroupShape[count];
        for (var g = 0; g < items.Length; g++)
        {
            if (!TryReadGroup(ref reader, out var group))
            {
                return false;
            }

            items[g] = group;
        }

        groups = ImmutableCollectionsMarshal.AsImmutableArray(items);
        return true;
    }

    private static void WriteGroup(ref WireWriter writer, KvGroupShape group)
    {
        writer.WriteText(group.Name ?? string.Empty);
        writer.WriteByte((byte)group.Kind);
        writer.WriteInt32(group.TokensPerBlock);
        writer.WriteInt32(group.LayerCount);
        writer.WriteInt32(group.BufferCount);
        writer.WriteInt64(group.BlockBytes);
        writer.WriteInt64(group.PageBytes);
    }

    private static bool TryReadGroup(ref WireReader reader, [NotNullWhen(true)] out KvGroupShape? group)
    {
        group = null;
        if (!reader.TryReadText(out var name) || !reader.TryReadByte(out var kind))
        {
            return false;
        }

        if ((KvGroupKind)kind is < KvGroupKind.MultiHead or > KvGroupKind.State)
        {
            return reader.Fail(WireFault.UndefinedValue);
        }

        if (!reader.TryReadInt32(out var tokensPerBlock) || !reader.TryReadInt32(out var layerCount) || !reader.TryReadInt32(out var bufferCount)
            || !reader.TryReadInt64(out var blockBytes) || !reader.TryReadInt64(out var pageBytes))
        {
            return false;
        }

        group = new KvGroupShape(name, (KvGroupKind)kind, tokensPerBlock, layerCount, bufferCount, blockBytes, pageBytes);
        return true;
    }
}
