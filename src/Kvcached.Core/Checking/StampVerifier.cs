using System.Buffers.Binary;

namespace Kvcached.Core.Checking;

/// <summary>Compares memory with stamps, with the CPU. Never writes.</summary>
public static class StampVerifier
{
    /// <summary>Compares one layer and buffer of a block with its stamp.</summary>
    /// <param name="bytes">All bytes of the block in that layer and buffer.</param>
    /// <param name="key">The key of the block, version, layer and buffer.</param>
    /// <param name="isWhole">True to compare every word.</param>
    public static StampComparison Verify(ReadOnlySpan<byte> bytes, LaneKey key, bool isWhole)
    {
        if (bytes.IsEmpty)
        {
            return default;
        }

        var places = new StampPlaces(bytes.Length);
        var count = places.PlaceCount(isWhole);
        long mismatches = 0;
        StampMismatch? first = null;
        for (long place = 0; place < count; place++)
        {
            var word = places.WordOf(place, isWhole);
            var byteCount = places.BytesOf(word);
            var expected = Truncate(key.WordAt(word), byteCount);
            var found = ReadWord(bytes[(int)(word * StampPlaces.WordBytes)..], byteCount);
            if (expected != found)
            {
                mismatches++;
                first ??= new StampMismatch(word, expected, found);
            }
        }

        return new StampComparison(count, mismatches, first);
    }

    /// <summary>The low bytes of a word, the rest cleared: what a block holds of a word that it ends within.</summary>
    public static ulong Truncate(ulong word, int byteCount) =>
        byteCount >= StampPlaces.WordBytes ? word : word & ((1UL << (byteCount * 8)) - 1);

    private static ulong ReadWord(ReadOnlySpan<byte> bytes, int byteCount)
    {
        if (byteCount == StampPlaces.WordBytes)
        {
            return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        }

        ulong word = 0;
        for (var i = 0; i < byteCount; i++)
        {
            word |= (ulong)bytes[i] << (i * 8);
        }

        return word;
    }
}
