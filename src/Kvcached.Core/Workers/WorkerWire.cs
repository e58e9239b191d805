using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Kvcached.Core.Contracts;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Workers;

/// <summary>The messages of <see cref="WorkerProtocol"/> on the wire. Their descriptors travel beside them.</summary>
public static class WorkerWire
{
    private const int LentExtentBytes = WireExtents.ExtentBytes + (2 * sizeof(long)) + sizeof(uint);

    public static void Write(ref WireWriter writer, WorkerProtocol.AttachRank message)
    {
        writer.WriteGuid(message.Worker.Value);
        writer.WriteText(message.PoolName ?? string.Empty);
        writer.WriteInt32(message.Rank);
        writer.WriteGpuId(message.Device);
        writer.WriteText(message.Backend ?? string.Empty);
        writer.WritePoolId(message.Pool);
        writer.WriteEpoch(message.HighestEpoch);
        writer.WriteUInt32(message.HighestGeneration);
        WriteLent(ref writer, message.Held);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out WorkerProtocol.AttachRank? message)
    {
        message = reader.TryReadGuid(out var worker) && reader.TryReadText(out var poolName) && reader.TryReadInt32(out var rank)
            && reader.TryReadGpuId(out var device) && reader.TryReadText(out var backend) && reader.TryReadPoolId(out var pool)
            && reader.TryReadEpoch(out var highestEpoch) && reader.TryReadUInt32(out var highestGeneration) && TryReadLent(ref reader, out var held)
            ? new WorkerProtocol.AttachRank(new WorkerIncarnation(worker), poolName, rank, device, backend, pool, highestEpoch, highestGeneration, held)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, WorkerProtocol.RankAttached message)
    {
        writer.WritePoolId(message.Pool);
        writer.WriteInt32(message.Rank);
        writer.WritePoolSpec(message.Spec);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out WorkerProtocol.RankAttached? message)
    {
        message = reader.TryReadPoolId(out var pool) && reader.TryReadInt32(out var rank) && reader.TryReadPoolSpec(out var spec)
            ? new WorkerProtocol.RankAttached(pool, rank, spec)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, WorkerProtocol.AttachRefused message) => writer.WriteRefusal(message.Refusal);

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out WorkerProtocol.AttachRefused? message)
    {
        message = reader.TryReadRefusal(out var refusal) ? new WorkerProtocol.AttachRefused(refusal) : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, WorkerProtocol.Operate message)
    {
        writer.WriteInt64(message.Operation);
        writer.WriteByte((byte)message.Kind);
        writer.WriteEpoch(message.Epoch);
        writer.WriteInt64(message.Seq);
        writer.WriteEngineStep(message.Fence);
        WriteLent(ref writer, message.Extents);
        var flags = message.IsDescriptorsHeld.AsSpan();
        writer.WriteInt32(flags.Length);
        foreach (var flag in flags)
        {
            writer.WriteFlag(flag);
        }
    }

    /// <summary>Reads an operation; a kind that isn't defined is a fault.</summary>
    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out WorkerProtocol.Operate? message)
    {
        message = null;
        if (!reader.TryReadInt64(out var operation) || !reader.TryReadByte(out var kind))
        {
            return false;
        }

        if ((WorkerOperationKind)kind is < WorkerOperationKind.Map or > WorkerOperationKind.LetGo)
        {
            return reader.Fail(WireFault.UndefinedValue);
        }

        if (!reader.TryReadEpoch(out var epoch) || !reader.TryReadInt64(out var seq) || !reader.TryReadEngineStep(out var fence)
            || !TryReadLent(ref reader, out var extents) || !TryReadFlags(ref reader, out var isDescriptorsHeld))
        {
            return false;
        }

        message = new WorkerProtocol.Operate(operation, (WorkerOperationKind)kind, epoch, seq, fence, extents, isDescriptorsHeld);
        return true;
    }

    public static void Write(ref WireWriter writer, WorkerProtocol.OperationDone message)
    {
        writer.WriteInt64(message.Operation);
        writer.WriteOptionalRefusal(message.Refusal);
        writer.WriteDigest(message.Digest);
        writer.WriteExtents(message.Stuck);
        writer.WriteDouble(message.DriverMicroseconds);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out WorkerProtocol.OperationDone? message)
    {
        message = reader.TryReadInt64(out var operation) && reader.TryReadOptionalRefusal(out var refusal) && reader.TryReadDigest(out var digest)
            && reader.TryReadExtents(out var stuck) && reader.TryReadDouble(out var driverMicroseconds)
            ? new WorkerProtocol.OperationDone(operation, refusal, digest, stuck, driverMicroseconds)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, WorkerProtocol.StuckReleased message) => writer.WriteExtents(message.Extents);

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out WorkerProtocol.StuckReleased? message)
    {
        message = reader.TryReadExtents(out var extents) ? new WorkerProtocol.StuckReleased(extents) : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, WorkerProtocol.PoolGone message)
    {
        writer.WriteRefusal(message.Refusal);
        writer.WriteEngineStep(message.Fence);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out WorkerProtocol.PoolGone? message)
    {
        message = reader.TryReadRefusal(out var refusal) && reader.TryReadEngineStep(out var fence) ? new WorkerProtocol.PoolGone(refusal, fence) : null;
        return message is not null;
    }

    private static void WriteLent(ref WireWriter writer, ImmutableArray<LentExtent> extents)
    {
        var items = extents.AsSpan();
        writer.WriteInt32(items.Length);
        foreach (ref readonly var item in items)
        {
            writer.WriteExtent(item.Extent);
            writer.WriteIncarnation(item.Identity.Creator);
            writer.WriteInt64(item.Identity.Serial);
            writer.WriteUInt32(item.Identity.Generation);
        }
    }

    private static bool TryReadLent(ref WireReader reader, out ImmutableArray<LentExtent> extents)
    {
        extents = [];
        if (!reader.TryReadCount(LentExtentBytes, out var count))
        {
            return false;
        }

        var items = new LentExtent[count];
        for (var i = 0; i < items.Length; i++)
        {
            // Can't fail: the count was measured against the bytes.
            reader.TryReadExtent(out var extent);
            reader.TryReadIncarnation(out var creator);
            reader.TryReadInt64(out var serial);
            reader.TryReadUInt32(out var generation);
            items[i] = new LentExtent(extent, new ExtentIdentity(creator, serial, generation));
        }

        extents = ImmutableCollectionsMarshal.AsImmutableArray(items);
        return true;
    }

    private static bool TryReadFlags(ref WireReader reader, out ImmutableArray<bool> flags)
    {
        flags = [];
        if (!reader.TryReadCount(1, out var count))
        {
            return false;
        }

        var items = new bool[count];
        for (var i = 0; i < items.Length; i++)
        {
            if (!reader.TryReadFlag(out items[i]))
            {
                return false;
            }
        }

        flags = ImmutableCollectionsMarshal.AsImmutableArray(items);
        return true;
    }
}
