using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Scheduling;

/// <summary>
/// One record of a tag journal: what a scheduler's successor must know of one block. 80 bytes: a seal, the generation of the extent in which the
/// block lies, the tag's length, and the tag.
/// </summary>
/// <remarks>
/// The seal is a checksum over the rest, never 0. A writer takes it away, writes the rest and puts it in place last, so that a record that was
/// being written when its writer died doesn't match its seal and counts as none.
/// </remarks>
public static class TagRecord
{
    public const int ByteCount = 80;

    private const int GenerationOffset = 4;
    private const int LengthOffset = 8;
    private const int TagOffset = 16;

    /// <summary>Writes a record.</summary>
    /// <param name="record">Its 80 bytes, aligned to 4.</param>
    /// <param name="generation">Generation of the block's extent.</param>
    /// <param name="tag">1 to <see cref="BlockAllocator.MaxTagBytes"/> bytes.</param>
    public static void Write(Span<byte> record, uint generation, ReadOnlySpan<byte> tag)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tag.Length, BlockAllocator.MaxTagBytes, nameof(tag));
        Clear(record);
        BinaryPrimitives.WriteUInt32LittleEndian(record[GenerationOffset..], generation);
        BinaryPrimitives.WriteInt32LittleEndian(record[LengthOffset..], tag.Length);
        tag.CopyTo(record[TagOffset..]);
        Volatile.Write(ref SealOf(record), Checksum(generation, tag));
    }

    /// <summary>Makes a record none.</summary>
    public static void Clear(Span<byte> record)
    {
        Volatile.Write(ref SealOf(record), 0);

        // What follows must not be seen before it.
        Interlocked.MemoryBarrier();
    }

    /// <summary>Reads a record that anyone may have written. False when there is none, or it is torn.</summary>
    /// <param name="record">Its 80 bytes, aligned to 4.</param>
    /// <param name="generation">Generation of the extent in which the block lay.</param>
    /// <param name="tag">Gets the tag; at least <see cref="BlockAllocator.MaxTagBytes"/> bytes.</param>
    /// <param name="length">Bytes of the tag.</param>
    public static bool TryRead(ReadOnlySpan<byte> record, out uint generation, Span<byte> tag, out int length)
    {
        // Copied before it is judged: another process may still write.
        Span<byte> copy = stackalloc byte[ByteCount];
        record[..ByteCount].CopyTo(copy);
        var seal = SealOf(copy);
        generation = BinaryPrimitives.ReadUInt32LittleEndian(copy[GenerationOffset..]);
        length = BinaryPrimitives.ReadInt32LittleEndian(copy[LengthOffset..]);
        if (seal == 0 || length is < 1 or > BlockAllocator.MaxTagBytes || seal != Checksum(generation, copy.Slice(TagOffset, length)))
        {
            length = 0;
            return false;
        }

        copy.Slice(TagOffset, length).CopyTo(tag);
        return true;
    }

    private static ref uint SealOf(Span<byte> record) => ref Unsafe.As<byte, uint>(ref record[0]);

    private static uint Checksum(uint generation, ReadOnlySpan<byte> tag)
    {
        // FNV-1a over generation, length and tag, then mixed.
        unchecked
        {
            var hash = 14695981039346656037UL;
            hash = (hash ^ generation) * 1099511628211UL;
            hash = (hash ^ (uint)tag.Length) * 1099511628211UL;
            foreach (var b in tag)
            {
                hash = (hash ^ b) * 1099511628211UL;
            }

            var folded = (uint)(hash ^ (hash >> 32));
            return folded == 0 ? 1 : folded;
        }
    }
}
