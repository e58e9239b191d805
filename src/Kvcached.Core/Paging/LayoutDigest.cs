using System.Buffers.Binary;

namespace Kvcached.Core.Paging;

/// <summary>
/// 128 bits over the set of extents that a table holds, whatever the order they came in. Equal digests at the same
/// (pool, epoch, seq) mean equal layouts on all ranks.
/// </summary>
/// <remarks>
/// A sum modulo 2^128 of one well-mixed 128-bit word per extent: adding and removing an extent takes constant time, and a table
/// that returns to an earlier state returns to its digest. It guards against faults, not against forgers.
/// </remarks>
public readonly record struct LayoutDigest(UInt128 Value)
{
    /// <summary>Digest of an empty table.</summary>
    public static LayoutDigest Empty => default;

    /// <summary>Bytes of <see cref="Write"/>.</summary>
    public const int ByteCount = 16;

    /// <summary>The digest after <paramref name="extent"/> entered the table.</summary>
    public LayoutDigest With(in Extent extent) => new(unchecked(Value + WordOf(extent)));

    /// <summary>The digest after <paramref name="extent"/> left the table.</summary>
    public LayoutDigest Without(in Extent extent) => new(unchecked(Value - WordOf(extent)));

    /// <summary>Writes 16 bytes, little-endian.</summary>
    public void Write(Span<byte> destination) => BinaryPrimitives.WriteUInt128LittleEndian(destination, Value);

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    public static LayoutDigest Read(ReadOnlySpan<byte> source) => new(BinaryPrimitives.ReadUInt128LittleEndian(source));

    public override string ToString() => Value.ToString("x32", null);

    private static UInt128 WordOf(in Extent extent)
    {
        var place = ((ulong)(uint)extent.Group << 40) | ((ulong)extent.Order << 32) | (uint)extent.First.Value;
        var low = Mix(Mix(place + 0x9E37_79B9_7F4A_7C15) ^ extent.Generation);
        var high = Mix(Mix(extent.Generation + 0xD1B5_4A32_D192_ED03) ^ place);
        return new UInt128(high, low);
    }

    /// <summary>A bijection in which each input bit moves about half of the output bits (the finaliser of SplitMix64).</summary>
    private static ulong Mix(ulong word)
    {
        unchecked
        {
            word = (word ^ (word >> 30)) * 0xBF58_476D_1CE4_E5B9;
            word = (word ^ (word >> 27)) * 0x94D0_49BB_1331_11EB;
            return word ^ (word >> 31);
        }
    }
}
