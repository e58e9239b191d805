using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Kvcached.Core.Contracts;

namespace Kvcached.Core.Engines;

/// <content>The question which extents an engine holds, and its answer.</content>
public static partial class EngineWire
{
    private const int GrantedExtentBytes = WireExtents.ExtentBytes + sizeof(long);

    public static void Write(ref WireWriter writer, EngineProtocol.CheckExtents message)
    {
        writer.WriteSessionId(message.Session);
        writer.WritePoolId(message.Pool);
        writer.WriteEpoch(message.Epoch);
        var extents = message.Extents.AsSpan();
        writer.WriteInt32(extents.Length);
        foreach (ref readonly var granted in extents)
        {
            writer.WriteExtent(granted.Extent);
            writer.WriteRequestId(granted.Request);
        }
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.CheckExtents? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadPoolId(out var pool) && reader.TryReadEpoch(out var epoch)
            && TryReadGrantedExtents(ref reader, out var extents)
            ? new EngineProtocol.CheckExtents(session, pool, epoch, extents)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, EngineProtocol.ExtentsChecked message)
    {
        writer.WriteSessionId(message.Session);
        writer.WritePoolId(message.Pool);
        writer.WriteEpoch(message.Epoch);
        writer.WriteExtents(message.Held);
        writer.WriteExtents(message.Unknown);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out EngineProtocol.ExtentsChecked? message)
    {
        message = reader.TryReadSessionId(out var session) && reader.TryReadPoolId(out var pool) && reader.TryReadEpoch(out var epoch)
            && reader.TryReadExtents(out var held) && reader.TryReadExtents(out var unknown)
            ? new EngineProtocol.ExtentsChecked(session, pool, epoch, held, unknown)
            : null;
        return message is not null;
    }

    private static bool TryReadGrantedExtents(ref WireReader reader, out ImmutableArray<GrantedExtent> extents)
    {
        extents = [];
        if (!reader.TryReadCount(GrantedExtentBytes, out var count))
        {
            return false;
        }

        var items = new GrantedExtent[count];
        for (var i = 0; i < items.Length; i++)
        {
            if (!reader.TryReadExtent(out var extent) || !reader.TryReadRequestId(out var request))
            {
                return false;
            }

            items[i] = new GrantedExtent(extent, request);
        }

        extents = ImmutableCollectionsMarshal.AsImmutableArray(items);
        return true;
    }
}
