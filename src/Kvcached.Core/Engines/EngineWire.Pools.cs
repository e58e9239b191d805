using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Contracts;

namespace Kvcached.Core.Engines;

/// <summary>The messages about whole sessions and pools.</summary>
public static partial class EngineWire
{
    public static void Write(ref WireWriter writer, EngineProtocol.SessionRefused message)
    {
        writer.WriteSessionId(message.Session);
        writer.WriteRefusal(message.Refusal);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.SessionRefused? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadRefusal(out var refusal)
            ? new EngineProtocol.SessionRefused(session, refusal)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.CloseSession message) => writer.WriteSessionId(message.Session);

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.CloseSession? message)
    {
        message = reader.TryReadSessionId(out var session) ? new EngineProtocol.CloseSession(session) : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.SessionClosed message) => writer.WriteSessionId(message.Session);

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.SessionClosed? message)
    {
        message = reader.TryReadSessionId(out var session) ? new EngineProtocol.SessionClosed(session) : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.OpenPool message)
    {
        WriteRequestHead(ref writer, message);
        writer.WritePoolSpec(message.Spec);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.OpenPool? message)
    {
        message = TryReadRequestHead(ref reader, out var session, out var request, out var ackedThrough) && reader.TryReadPoolSpec(out var spec)
            ? new EngineProtocol.OpenPool(session, request, ackedThrough, spec)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.PoolOpened message)
    {
        writer.WriteSessionId(message.Session);
        writer.WriteRequestId(message.Request);
        writer.WritePoolId(message.Pool);
        writer.WriteExtents(message.Extents);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.PoolOpened? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadRequestId(out var request) && reader.TryReadPoolId(out var pool)
            && reader.TryReadExtents(out var extents)
            ? new EngineProtocol.PoolOpened(session, request, pool, extents)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.ClosePool message)
    {
        WriteRequestHead(ref writer, message);
        writer.WritePoolId(message.Pool);
        writer.WriteEngineStep(message.Fence);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.ClosePool? message)
    {
        message = TryReadRequestHead(ref reader, out var session, out var request, out var ackedThrough) && reader.TryReadPoolId(out var pool)
            && reader.TryReadEngineStep(out var fence)
            ? new EngineProtocol.ClosePool(session, request, ackedThrough, pool, fence)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.PoolClosed message)
    {
        writer.WriteSessionId(message.Session);
        writer.WriteRequestId(message.Request);
        writer.WritePoolId(message.Pool);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.PoolClosed? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadRequestId(out var request) && reader.TryReadPoolId(out var pool)
            ? new EngineProtocol.PoolClosed(session, request, pool)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.PoolWithdrawn message)
    {
        writer.WriteSessionId(message.Session);
        writer.WritePoolId(message.Pool);
        writer.WriteRefusal(message.Refusal);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.PoolWithdrawn? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadPoolId(out var pool) && reader.TryReadRefusal(out var refusal)
            ? new EngineProtocol.PoolWithdrawn(session, pool, refusal)
            : null;
        return message is not null;
    }
}
