using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Contracts;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Serialization;

/// <summary>The messages of <see cref="DataCheckProtocol"/> on the wire.</summary>
internal static class DataCheckWire
{
    private const int StampedBlockBytes = sizeof(int) + sizeof(uint) + 1;

    public static void Write(ref WireWriter writer, DataCheckProtocol.WriteStamps message) =>
        WriteBatch(ref writer, message.Pool, message.BatchId, message.Group, message.Blocks);

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out DataCheckProtocol.WriteStamps? message)
    {
        message = TryReadBatch(ref reader, out var pool, out var batchId, out var group, out var blocks)
            ? new DataCheckProtocol.WriteStamps(pool, batchId, group, blocks)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, DataCheckProtocol.VerifyStamps message) =>
        WriteBatch(ref writer, message.Pool, message.BatchId, message.Group, message.Blocks);

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out DataCheckProtocol.VerifyStamps? message)
    {
        message = TryReadBatch(ref reader, out var pool, out var batchId, out var group, out var blocks)
            ? new DataCheckProtocol.VerifyStamps(pool, batchId, group, blocks)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, DataCheckProtocol.StampsDone message)
    {
        writer.WritePoolId(message.Pool);
        writer.WriteInt64(message.BatchId);
        writer.WriteGpuId(message.Gpu);
        writer.WriteInt32(message.CorruptBlocks);
        writer.WriteText(message.FirstProblem);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out DataCheckProtocol.StampsDone? message)
    {
        message = reader.TryReadPoolId(out var pool) && reader.TryReadInt64(out var batchId) && reader.TryReadGpuId(out var gpu)
            && reader.TryReadInt32(out var corruptBlocks) && reader.TryReadOptionalText(out var firstProblem)
            ? new DataCheckProtocol.StampsDone(pool, batchId, gpu, corruptBlocks, firstProblem)
            : null;
        return message is not null;
    }

    public static void Write(ref WireWriter writer, DataCheckProtocol.StampsFailed message)
    {
        writer.WritePoolId(message.Pool);
        writer.WriteInt64(message.BatchId);
        writer.WriteGpuId(message.Gpu);
        writer.WriteText(message.Problem ?? string.Empty);
    }

    public static bool TryRead(ref WireReader reader, [NotNullWhen(true)] out DataCheckProtocol.StampsFailed? message)
    {
        message = reader.TryReadPoolId(out var pool) && reader.TryReadInt64(out var batchId) && reader.TryReadGpuId(out var gpu)
            && reader.TryReadText(out var problem)
            ? new DataCheckProtocol.StampsFailed(pool, batchId, gpu, problem)
            : null;
        return message is not null;
    }

    private static void WriteBatch(ref WireWriter writer, PoolId pool, long batchId, int group, ImmutableArray<StampedBlock> blocks)
    {
        writer.WritePoolId(pool);
        writer.WriteInt64(batchId);
        writer.WriteInt32(group);
        var items = blocks.AsSpan();
        writer.WriteInt32(items.Length);
        foreach (ref readonly var stamp in items)
        {
            writer.WriteBlockId(stamp.Block);
            writer.WriteUInt32(stamp.Version);
            writer.WriteFlag(stamp.IsWhole);
        }
    }

    private static bool TryReadBatch(
        ref WireReader reader, out PoolId pool, out long batchId, out int group, out ImmutableArray<StampedBlock> blocks)
    {
        blocks = [];

        // Not short-circuited: all must be assigned, and a reader that has failed stays failed.
        if (!(reader.TryReadPoolId(out pool) & reader.TryReadInt64(out batchId) & reader.TryReadInt32(out group))
            || !reader.TryReadCount(StampedBlockBytes, out var count))
        {
            return false;
        }

        if (count == 0)
        {
            return true;
        }

        var items = new StampedBlock[count];
        for (var i = 0; i < items.Length; i++)
        {
            if (!reader.TryReadBlockId(out var block) || !reader.TryReadUInt32(out var version) || !reader.TryReadFlag(out var isWhole))
            {
                return false;
            }

            items[i] = new StampedBlock(block, version, isWhole);
        }

        blocks = ImmutableCollectionsMarshal.AsImmutableArray(items);
        return true;
    }
}
