using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Kvcached.Core.Contracts;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Engines;

/// <summary>The messages of <see cref="EngineProtocol"/> on the wire.</summary>
public static partial class EngineWire
{
    private const int WarmExtentBytes = WireExtents.ExtentBytes + sizeof(long);

    public static void Write(ref WireWriter writer, EngineProtocol.OpenSession message)
    {
        writer.WriteSessionId(message.Session);
        writer.WriteText(message.EngineName ?? string.Empty);
        writer.WriteText(message.Domain ?? string.Empty);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.OpenSession? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadText(out var engineName) && reader.TryReadText(out var domain)
            ? new EngineProtocol.OpenSession(session, engineName, domain)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.SessionOpened message)
    {
        writer.WriteSessionId(message.Session);
        writer.WriteEpoch(message.Epoch);
        writer.WriteTimeSpan(message.Lease);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.SessionOpened? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadEpoch(out var epoch) && reader.TryReadTimeSpan(out var lease)
            ? new EngineProtocol.SessionOpened(session, epoch, lease)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.AllocatePages message)
    {
        WriteRequestHead(ref writer, message);
        writer.WritePoolId(message.Pool);
        writer.WriteInt32(message.Group);
        writer.WriteInt32(message.PageCount);
        writer.WriteTimeSpan(message.Deadline);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.AllocatePages? message)
    {
        message = TryReadRequestHead(ref reader, out var session, out var request, out var ackedThrough) && reader.TryReadPoolId(out var pool)
            && reader.TryReadInt32(out var group) && reader.TryReadInt32(out var pageCount) && reader.TryReadTimeSpan(out var deadline)
            ? new EngineProtocol.AllocatePages(session, request, ackedThrough, pool, group, pageCount, deadline)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.PagesAllocated message)
    {
        writer.WriteSessionId(message.Session);
        writer.WriteRequestId(message.Request);
        writer.WritePoolId(message.Pool);
        writer.WriteExtents(message.Extents);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.PagesAllocated? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadRequestId(out var request) && reader.TryReadPoolId(out var pool)
            && reader.TryReadExtents(out var extents)
            ? new EngineProtocol.PagesAllocated(session, request, pool, extents)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.FreeExtents message)
    {
        WriteRequestHead(ref writer, message);
        writer.WritePoolId(message.Pool);
        writer.WriteExtents(message.Extents);
        writer.WriteEngineStep(message.Fence);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.FreeExtents? message)
    {
        message = TryReadRequestHead(ref reader, out var session, out var request, out var ackedThrough) && reader.TryReadPoolId(out var pool)
            && reader.TryReadExtents(out var extents) && reader.TryReadEngineStep(out var fence)
            ? new EngineProtocol.FreeExtents(session, request, ackedThrough, pool, extents, fence)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.ExtentsFreed message)
    {
        writer.WriteSessionId(message.Session);
        writer.WriteRequestId(message.Request);
        writer.WritePoolId(message.Pool);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.ExtentsFreed? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadRequestId(out var request) && reader.TryReadPoolId(out var pool)
            ? new EngineProtocol.ExtentsFreed(session, request, pool)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.RequestRefused message)
    {
        writer.WriteSessionId(message.Session);
        writer.WriteRequestId(message.Request);
        writer.WriteRefusal(message.Refusal);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.RequestRefused? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadRequestId(out var request) && reader.TryReadRefusal(out var refusal)
            ? new EngineProtocol.RequestRefused(session, request, refusal)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.ReportWarmExtents message)
    {
        writer.WriteSessionId(message.Session);
        writer.WritePoolId(message.Pool);
        var extents = message.Extents.AsSpan();
        writer.WriteInt32(extents.Length);
        foreach (ref readonly var warm in extents)
        {
            writer.WriteExtent(warm.Extent);
            writer.WriteTimeSpan(warm.Idle);
        }
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.ReportWarmExtents? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadPoolId(out var pool) && TryReadWarmExtents(ref reader, out var extents)
            ? new EngineProtocol.ReportWarmExtents(session, pool, extents)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.RevokeExtents message) =>
        WriteRevoke(ref writer, message.Session, message.Pool, message.RevokeId, message.Extents);

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.RevokeExtents? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadPoolId(out var pool) && reader.TryReadInt64(out var revokeId)
            && reader.TryReadExtents(out var extents)
            ? new EngineProtocol.RevokeExtents(session, pool, revokeId, extents)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.RevokeAnswered message)
    {
        WriteRevoke(ref writer, message.Session, message.Pool, message.RevokeId, message.GivenUp);
        writer.WriteEngineStep(message.Fence);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.RevokeAnswered? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadPoolId(out var pool) && reader.TryReadInt64(out var revokeId)
            && reader.TryReadExtents(out var givenUp) && reader.TryReadEngineStep(out var fence)
            ? new EngineProtocol.RevokeAnswered(session, pool, revokeId, givenUp, fence)
            : null;
        return message is not null;
    }

    private static void WriteRequestHead(ref WireWriter writer, EngineProtocol.IRequest message)
    {
        writer.WriteSessionId(message.Session);
        writer.WriteRequestId(message.Request);
        writer.WriteRequestId(message.AckedThrough);
    }

    private static bool TryReadRequestHead(ref WireReader reader, out SessionId session, out RequestId request, out RequestId ackedThrough)
    {
        // Not short-circuited: all three must be assigned, and a reader that has failed stays failed.
        return reader.TryReadSessionId(out session) & reader.TryReadRequestId(out request) & reader.TryReadRequestId(out ackedThrough);
    }

    private static void WriteRevoke(ref WireWriter writer, SessionId session, PoolId pool, long revokeId, ImmutableArray<Core.Paging.Extent> extents)
    {
        writer.WriteSessionId(session);
        writer.WritePoolId(pool);
        writer.WriteInt64(revokeId);
        writer.WriteExtents(extents);
    }

    private static bool TryReadWarmExtents(ref WireReader reader, out ImmutableArray<IdleExtent> extents)
    {
        extents = [];
        if (!reader.TryReadCount(WarmExtentBytes, out var count))
        {
            return false;
        }

        if (count == 0)
        {
            return true;
        }

        var items = new IdleExtent[count];
        for (var i = 0; i < items.Length; i++)
        {
            if (!reader.TryReadExtent(out var extent) || !reader.TryReadTimeSpan(out var idle))
            {
                return false;
            }

            items[i] = new IdleExtent(extent, idle);
        }

        extents = ImmutableCollectionsMarshal.AsImmutableArray(items);
        return true;
    }
}
