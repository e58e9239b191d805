using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Contracts;

/// <summary>
/// Extents and digests on the wire. An extent is carried as it is, well formed or not: whether it makes sense is for its receiver to
/// say, in a typed refusal.
/// </summary>
public static class WireExtents
{
    /// <summary>Bytes of one extent: group, first page, order, generation.</summary>
    public const int ExtentBytes = 13;

    public static void WriteExtent(this ref WireWriter writer, in Extent extent)
    {
        if (writer.TryReserve(ExtentBytes, out var room))
        {
            Put(room, extent);
        }
    }

    public static bool TryReadExtent(this ref WireReader reader, out Extent extent)
    {
        var isThere = reader.TryTake(ExtentBytes, out var bytes);
        extent = isThere ? Get(bytes) : default;
        return isThere;
    }

    /// <summary>Writes a list of extents. The default array goes as an empty one.</summary>
    public static void WriteExtents(this ref WireWriter writer, ImmutableArray<Extent> extents)
    {
        var items = extents.AsSpan();
        writer.WriteInt32(items.Length);
        if (!writer.TryReserve((long)items.Length * ExtentBytes, out var room))
        {
            return;
        }

        foreach (ref readonly var extent in items)
        {
            Put(room, extent);
            room = room[ExtentBytes..];
        }
    }

    /// <summary>Reads a list of extents; never the default array.</summary>
    public static bool TryReadExtents(this ref WireReader reader, out ImmutableArray<Extent> extents)
    {
        extents = [];
        if (!reader.TryReadCount(ExtentBytes, out var count) || !reader.TryTake(count * ExtentBytes, out var bytes))
        {
            return false;
        }

        if (count == 0)
        {
            return true;
        }

        var items = new Extent[count];
        for (var i = 0; i < items.Length; i++)
        {
            items[i] = Get(bytes[(i * ExtentBytes)..]);
        }

        extents = ImmutableCollectionsMarshal.AsImmutableArray(items);
        return true;
    }

    public static void WriteDigest(this ref WireWriter writer, LayoutDigest digest)
    {
        if (writer.TryReserve(LayoutDigest.ByteCount, out var room))
        {
            digest.Write(room);
        }
    }

    public static bool TryReadDigest(this ref WireReader reader, out LayoutDigest digest)
    {
        var isThere = reader.TryTake(LayoutDigest.ByteCount, out var bytes);
        digest = isThere ? LayoutDigest.Read(bytes) : default;
        return isThere;
    }

    private static void Put(Span<byte> room, in Extent extent)
    {
        // Written from the far end, so that one bounds check serves all four.
        BinaryPrimitives.WriteUInt32LittleEndian(room[9..], extent.Generation);
        room[8] = extent.Order;
        BinaryPrimitives.WriteInt32LittleEndian(room[4..], extent.First.Value);
        BinaryPrimitives.WriteInt32LittleEndian(room, extent.Group);
    }

    private static Extent Get(ReadOnlySpan<byte> bytes)
    {
        var generation = BinaryPrimitives.ReadUInt32LittleEndian(bytes[9..]);
        var order = bytes[8];
        var first = BinaryPrimitives.ReadInt32LittleEndian(bytes[4..]);
        return new Extent(BinaryPrimitives.ReadInt32LittleEndian(bytes), new PageId(first), order, generation);
    }
}
