using System.Buffers.Binary;
using System.Collections.Immutable;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Scheduling;

/// <summary>
/// Where the tags of a pool's blocks lie in the file that outlives its scheduler: a header of 4096 bytes that names the form, then for each KV
/// group one <see cref="TagRecord"/> per block id. A hole in the file reads as no record.
/// </summary>
public sealed class TagJournal
{
    public const int HeaderBytes = 4096;

    private const ulong Magic = 0x3153_4741_5443_564B;

    private readonly ImmutableArray<int> _blockCounts;
    private readonly ImmutableArray<long> _offsets;
    private readonly ulong _shape;

    private TagJournal(ImmutableArray<int> blockCounts)
    {
        _blockCounts = blockCounts;
        var offsets = ImmutableArray.CreateBuilder<long>();
        long offset = HeaderBytes;
        var shape = 14695981039346656037UL;
        foreach (var count in blockCounts)
        {
            offsets.Add(offset);
            offset += (long)count * TagRecord.ByteCount;
            shape = unchecked((shape ^ (uint)count) * 1099511628211UL);
        }

        _offsets = offsets.ToImmutable();
        _shape = shape;
        ByteCount = (offset + HeaderBytes - 1) / HeaderBytes * HeaderBytes;
    }

    /// <summary>Bytes of the file, a multiple of 4096.</summary>
    public long ByteCount { get; }

    public static TagJournal For(PoolGeometry geometry) => new(
        [.. Enumerable.Range(0, geometry.GroupCount).Select(g => geometry.SlotsOf(g).EndBlockOf(new PageId(geometry.VirtualPageCounts[g] - 1)))]);

    /// <summary>Where the record of a block starts, in bytes.</summary>
    public long OffsetOf(int group, BlockId block)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)block.Value, (uint)_blockCounts[group], nameof(block));
        return _offsets[group] + ((long)block.Value * TagRecord.ByteCount);
    }

    public void WriteHeader(Span<byte> header)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(header, Magic);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], _shape);
    }

    /// <summary>True when the file is a journal of a pool with as many blocks.</summary>
    public bool IsHeader(ReadOnlySpan<byte> header) =>
        header.Length >= 16 && BinaryPrimitives.ReadUInt64LittleEndian(header) == Magic && BinaryPrimitives.ReadUInt64LittleEndian(header[8..]) == _shape;
}
