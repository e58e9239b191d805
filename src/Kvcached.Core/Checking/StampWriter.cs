using System.Buffers.Binary;

namespace Kvcached.Core.Checking;

/// <summary>Writes stamps with the CPU.</summary>
public static class StampWriter
{
    /// <summary>Stamps one layer and buffer of a block.</summary>
    /// <param name="bytes">All bytes of the block in that layer and buffer.</param>
    /// <param name="key">The key of the block, version, layer and buffer.</param>
    /// <param name="isWhole">True to write every word.</param>
    /// <returns>Words written.</returns>
    public static long Write(Span<byte> bytes, LaneKey key, bool isWhole)
    {
        if (bytes.IsEmpty)
        {
            return 0;
        }

        var places = new StampPlaces(bytes.Length);
        var count = places.PlaceCount(isWhole);
        if (isWhole)
        {
            var fullBytes = bytes.Length / StampPlaces.WordBytes * StampPlaces.WordBytes;
            WriteRun(bytes[..fullBytes], key);
            if (fullBytes < bytes.Length)
            {
                WriteWord(bytes, places, key, count - 1);
            }

            return count;
        }

        for (long place = 0; place < count; place++)
        {
            WriteWord(bytes, places, key, places.WordOf(place, isWhole: false));
        }

        return count;
    }

    private static void WriteRun(Span<byte> bytes, LaneKey key)
    {
        for (long word = 0; bytes.Length >= StampPlaces.WordBytes; word++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, key.WordAt(word));
            bytes = bytes[StampPlaces.WordBytes..];
        }
    }

    private static void WriteWord(Span<byte> bytes, StampPlaces places, LaneKey key, long word)
    {
        Span<byte> value = stackalloc byte[StampPlaces.WordBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(value, key.WordAt(word));
        value[..places.BytesOf(word)].CopyTo(bytes[(int)(word * StampPlaces.WordBytes)..]);
    }
}
