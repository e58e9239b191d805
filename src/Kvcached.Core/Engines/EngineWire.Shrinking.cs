using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Contracts;

namespace Kvcached.Core.Engines;

/// <content>What a pool is asked to give up.</content>
public static partial class EngineWire
{
    private const int LeastGpuBytes = 1 + sizeof(long);

    public static void Write(ref WireWriter writer, EngineProtocol.ShrinkRequested message)
    {
        writer.WriteSessionId(message.Session);
        writer.WritePoolId(message.Pool);
        writer.WriteInt64(message.ShrinkId);
        var wanted = message.Wanted.AsSpan();
        writer.WriteInt32(wanted.Length);
        foreach (ref readonly var item in wanted)
        {
            writer.WriteGpuId(item.Gpu);
            writer.WriteInt64(item.ByteCount);
        }

        writer.WriteTimeSpan(message.Deadline);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.ShrinkRequested? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadPoolId(out var pool) && reader.TryReadInt64(out var shrinkId)
            && TryReadGpuBytes(ref reader, out var wanted) && reader.TryReadTimeSpan(out var deadline)
            ? new EngineProtocol.ShrinkRequested(session, pool, shrinkId, wanted, deadline)
            : null;
        return message is not null;
    }

    private static bool TryReadGpuBytes(ref WireReader reader, out ImmutableArray<GpuBytes> wanted)
    {
        wanted = [];
        if (!reader.TryReadCount(LeastGpuBytes, out var count))
        {
            return false;
        }

        var items = ImmutableArray.CreateBuilder<GpuBytes>(count);
        for (var i = 0; i < count; i++)
        {
            if (!reader.TryReadGpuId(out var gpu) || !reader.TryReadInt64(out var byteCount))
            {
                return false;
            }

            items.Add(new GpuBytes(gpu, byteCount));
        }

        wanted = items.MoveToImmutable();
        return true;
    }
}
