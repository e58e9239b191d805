using System.Text;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Contracts;

/// <summary>Ids on the wire: each as its value, at its full width.</summary>
public static class WireIds
{
    public static void WritePoolId(this ref WireWriter writer, PoolId id) => writer.WriteInt64(id.Value);

    public static bool TryReadPoolId(this ref WireReader reader, out PoolId id)
    {
        var isThere = reader.TryReadInt64(out var value);
        id = new PoolId(value);
        return isThere;
    }

    public static void WriteEpoch(this ref WireWriter writer, Epoch epoch)
    {
        writer.WriteInt64(epoch.Counter);
        writer.WriteInt64(epoch.NodeUid);
    }

    public static bool TryReadEpoch(this ref WireReader reader, out Epoch epoch)
    {
        var isThere = reader.TryReadInt64(out var counter) & reader.TryReadInt64(out var nodeUid);
        epoch = new Epoch(counter, nodeUid);
        return isThere;
    }

    public static void WriteSessionId(this ref WireWriter writer, SessionId id) => writer.WriteGuid(id.Value);

    public static bool TryReadSessionId(this ref WireReader reader, out SessionId id)
    {
        var isThere = reader.TryReadGuid(out var value);
        id = new SessionId(value);
        return isThere;
    }

    public static void WriteEngineStep(this ref WireWriter writer, EngineStep step) => writer.WriteInt64(step.Value);

    public static bool TryReadEngineStep(this ref WireReader reader, out EngineStep step)
    {
        var isThere = reader.TryReadInt64(out var value);
        step = new EngineStep(value);
        return isThere;
    }

    public static void WriteRequestId(this ref WireWriter writer, RequestId id) => writer.WriteInt64(id.Value);

    public static bool TryReadRequestId(this ref WireReader reader, out RequestId id)
    {
        var isThere = reader.TryReadInt64(out var value);
        id = new RequestId(value);
        return isThere;
    }

    public static void WriteIncarnation(this ref WireWriter writer, HostIncarnation incarnation) => writer.WriteInt64(incarnation.Value);

    public static bool TryReadIncarnation(this ref WireReader reader, out HostIncarnation incarnation)
    {
        var isThere = reader.TryReadInt64(out var value);
        incarnation = new HostIncarnation(value);
        return isThere;
    }

    public static void WriteBlockId(this ref WireWriter writer, BlockId id) => writer.WriteInt32(id.Value);

    public static bool TryReadBlockId(this ref WireReader reader, out BlockId id)
    {
        var isThere = reader.TryReadInt32(out var value);
        id = new BlockId(value);
        return isThere;
    }

    /// <summary>A GPU's id as one byte of length and ASCII; length 0 is the default id.</summary>
    public static void WriteGpuId(this ref WireWriter writer, GpuId id)
    {
        var text = id.Value;
        if (writer.TryReserve(1 + text.Length, out var room))
        {
            room[0] = (byte)text.Length;
            Encoding.ASCII.GetBytes(text, room[1..]);
        }
    }

    /// <summary>Reads a GPU's id; a text that is no id is a fault.</summary>
    public static bool TryReadGpuId(this ref WireReader reader, out GpuId id)
    {
        id = default;
        if (!reader.TryReadByte(out var length))
        {
            return false;
        }

        if (length > GpuId.MaxLength)
        {
            return reader.Fail(WireFault.BadCount);
        }

        // Bytes above 127 come out as '?', which no id has.
        return reader.TryTake(length, out var bytes)
            && (length == 0 || GpuId.TryParse(Encoding.ASCII.GetString(bytes), out id) || reader.Fail(WireFault.BadText));
    }
}
