using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Contracts;

namespace Kvcached.Core.Sockets;

/// <summary>The messages of <see cref="SocketProtocol"/> on the wire.</summary>
internal static class SocketWire
{
    public static void Write(ref WireWriter writer, SocketProtocol.Hello message)
    {
        writer.WriteInt32(message.LowestVersion);
        writer.WriteInt32(message.HighestVersion);
        writer.WriteByte((byte)message.Role);
        writer.WriteText(message.LibraryVersion ?? string.Empty);
        writer.WriteInt32(message.ProcessId);
    }

    /// <summary>Reads a Hello; a role that isn't defined is a fault.</summary>
    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out SocketProtocol.Hello? message)
    {
        message = null;
        if (!reader.TryReadInt32(out var lowest) || !reader.TryReadInt32(out var highest) || !reader.TryReadByte(out var role))
        {
            return false;
        }

        if ((EngineRole)role is not (EngineRole.Scheduler or EngineRole.Worker))
        {
            return reader.Fail(WireFault.UndefinedValue);
        }

        if (!reader.TryReadText(out var libraryVersion) || !reader.TryReadInt32(out var processId))
        {
            return false;
        }

        message = new SocketProtocol.Hello(lowest, highest, (EngineRole)role, libraryVersion, processId);
        return true;
    }

    public static void Write(ref WireWriter writer, SocketProtocol.Welcome message)
    {
        writer.WriteInt32(message.Version);
        writer.WriteIncarnation(message.Host);
        writer.WriteGpuId(message.Gpu);
        writer.WriteText(message.Domain ?? string.Empty);
        writer.WriteText(message.Backend ?? string.Empty);
        writer.WriteInt64(message.GranularityBytes);
        writer.WriteText(message.ServerVersion ?? string.Empty);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out SocketProtocol.Welcome? message)
    {
        message = reader.TryReadInt32(out var version) && reader.TryReadIncarnation(out var host) && reader.TryReadGpuId(out var gpu)
            && reader.TryReadText(out var domain) && reader.TryReadText(out var backend) && reader.TryReadInt64(out var granularityBytes)
            && reader.TryReadText(out var serverVersion)
            ? new SocketProtocol.Welcome(version, host, gpu, domain, backend, granularityBytes, serverVersion)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, SocketProtocol.Rejected message) => writer.WriteRefusal(message.Refusal);

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out SocketProtocol.Rejected? message)
    {
        message = reader.TryReadRefusal(out var refusal) ? new SocketProtocol.Rejected(refusal) : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, SocketProtocol.KeepTags message)
    {
        writer.WriteSessionId(message.Session);
        writer.WritePoolId(message.Pool);
        writer.WriteInt64(message.FileBytes);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out SocketProtocol.KeepTags? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadPoolId(out var pool) && reader.TryReadInt64(out var fileBytes)
            ? new SocketProtocol.KeepTags(session, pool, fileBytes)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, SocketProtocol.PoolTags message)
    {
        writer.WriteSessionId(message.Session);
        writer.WritePoolId(message.Pool);
        writer.WriteInt64(message.FileBytes);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out SocketProtocol.PoolTags? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadPoolId(out var pool) && reader.TryReadInt64(out var fileBytes)
            ? new SocketProtocol.PoolTags(session, pool, fileBytes)
            : null;
        return message is not null;
    }
}
