using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Contracts;
using Kvcached.Core.Decisions;

namespace Kvcached.Actors.Serialization;

/// <summary>The hot-path messages of <see cref="RankProtocol"/> on the wire.</summary>
internal static class RankWire
{
    private const int TableEntryBytes = WireExtents.ExtentBytes + 16 + sizeof(long);

    /// <summary>The decision, then the 24 bytes that say where its spans belong.</summary>
    public static void Write(ref WireWriter writer, RankProtocol.DecideTraced message)
    {
        writer.WriteDecision(message.Decision);
        writer.WriteInt64((long)(ulong)message.Trace.TraceId);
        writer.WriteInt64((long)(ulong)(message.Trace.TraceId >> 64));
        writer.WriteInt64(message.Trace.SpanId);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out RankProtocol.DecideTraced? message)
    {
        message = null;
        if (!reader.TryReadDecision(out var decision) || !reader.TryReadInt64(out var low) || !reader.TryReadInt64(out var high)
            || !reader.TryReadInt64(out var span))
        {
            return false;
        }

        message = new RankProtocol.DecideTraced(decision, new TraceLink(new UInt128((ulong)high, (ulong)low), span));
        return true;
    }

    public static void Write(ref WireWriter writer, RankProtocol.InstallTable message)
    {
        writer.WriteEpoch(message.Epoch);
        writer.WritePoolId(message.Pool);
        writer.WriteInt64(message.Seq);
        writer.WriteEngineStep(message.Fence);
        var entries = message.Entries.AsSpan();
        writer.WriteInt32(entries.Length);
        if (!writer.TryReserve((long)entries.Length * TableEntryBytes, out var room))
        {
            return;
        }

        // Tables are long: room is taken once for all entries.
        var list = new WireWriter(room);
        foreach (ref readonly var entry in entries)
        {
            list.WriteExtent(entry.Extent);
            list.WriteSessionId(entry.Session);
            list.WriteRequestId(entry.Request);
        }
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out RankProtocol.InstallTable? message)
    {
        message = null;
        if (!reader.TryReadEpoch(out var epoch) || !reader.TryReadPoolId(out var pool) || !reader.TryReadInt64(out var seq)
            || !reader.TryReadEngineStep(out var fence) || !TryReadEntries(ref reader, out var entries))
        {
            return false;
        }

        message = new RankProtocol.InstallTable(epoch, pool, seq, entries, fence);
        return true;
    }

    public static void Write(ref WireWriter writer, RankProtocol.QuarantineCleared message)
    {
        writer.WriteGpuId(message.Gpu);
        writer.WriteIncarnation(message.Incarnation);
        writer.WritePoolId(message.Pool);
        writer.WriteExtents(message.Extents);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out RankProtocol.QuarantineCleared? message)
    {
        message = null;
        if (!reader.TryReadGpuId(out var gpu) || !reader.TryReadIncarnation(out var incarnation) || !reader.TryReadPoolId(out var pool)
            || !reader.TryReadExtents(out var extents))
        {
            return false;
        }

        message = new RankProtocol.QuarantineCleared(gpu, incarnation, pool, extents);
        return true;
    }

    private static bool TryReadEntries(ref WireReader reader, out ImmutableArray<TableEntry> entries)
    {
        entries = [];
        if (!reader.TryReadCount(TableEntryBytes, out var count))
        {
            return false;
        }

        if (count == 0)
        {
            return true;
        }

        var items = new TableEntry[count];
        for (var i = 0; i < items.Length; i++)
        {
            if (!reader.TryReadExtent(out var extent) || !reader.TryReadSessionId(out var session) || !reader.TryReadRequestId(out var request))
            {
                return false;
            }

            items[i] = new TableEntry(extent, session, request);
        }

        entries = ImmutableCollectionsMarshal.AsImmutableArray(items);
        return true;
    }
}
