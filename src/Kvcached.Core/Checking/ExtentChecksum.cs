using System.Buffers.Binary;

namespace Kvcached.Core.Checking;

/// <summary>
/// 64 bits over the bytes of an extent on one rank, its mapping units in order: to tell after a restore that everything came back
/// to its place. Guards against faults, not against forgers.
/// </summary>
/// <remarks>
/// A sum modulo 2^64 of one well-mixed word per 8 bytes and their position: it may be added up in any order, which is what a GPU
/// does.
/// </remarks>
public readonly record struct ExtentChecksum(ulong Value)
{
    /// <summary>The checksum with more bytes added.</summary>
    /// <param name="bytes">A multiple of 8 bytes; mapping units always are.</param>
    /// <param name="firstWordIndex">Position of their first 8-byte word within the extent, over its mapping units.</param>
    public ExtentChecksum With(ReadOnlySpan<byte> bytes, long firstWordIndex)
    {
        if (bytes.Length % StampPlaces.WordBytes != 0)
        {
            throw new ArgumentException($"{bytes.Length} bytes are no whole number of {StampPlaces.WordBytes}-byte words.", nameof(bytes));
        }

        var sum = Value;
        for (var index = (ulong)firstWordIndex; !bytes.IsEmpty; index++)
        {
            sum = unchecked(sum + StampKey.Mix(BinaryPrimitives.ReadUInt64LittleEndian(bytes) ^ StampKey.Mix(index)));
            bytes = bytes[StampPlaces.WordBytes..];
        }

        return new ExtentChecksum(sum);
    }

    public override string ToString() => Value.ToString("x16", null);
}
