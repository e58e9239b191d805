using System.Buffers.Binary;
using System.Text;

namespace Kvcached.Gpu.Copying;

/// <summary>
/// Reads what <see cref="BodyWriter"/> wrote, believing nothing: past the end, or after anything implausible, all values are 0 and
/// <see cref="Problem"/> says what was wrong first.
/// </summary>
internal ref struct BodyReader(ReadOnlySpan<byte> bytes)
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private ReadOnlySpan<byte> _rest = bytes;

    /// <summary>What is wrong with the bytes, or null so far.</summary>
    public string? Problem { get; private set; }

    /// <summary>Bytes not read yet.</summary>
    public readonly int RestLength => _rest.Length;

    public byte ReadByte() => Take(1, out var bytes) ? bytes[0] : (byte)0;

    public int ReadInt32() => Take(4, out var bytes) ? BinaryPrimitives.ReadInt32LittleEndian(bytes) : 0;

    public uint ReadUInt32() => unchecked((uint)ReadInt32());

    public long ReadInt64() => Take(8, out var bytes) ? BinaryPrimitives.ReadInt64LittleEndian(bytes) : 0;

    public ulong ReadUInt64() => unchecked((ulong)ReadInt64());

    /// <summary>Reads a count of things that follow, each of at least <paramref name="minBytesEach"/> bytes.</summary>
    public int ReadCount(int maxCount, int minBytesEach)
    {
        var count = ReadInt32();
        if (count < 0 || count > maxCount || (long)count * minBytesEach > _rest.Length)
        {
            Fail($"a count of {count} is out of range or more than the frame holds");
            return 0;
        }

        return count;
    }

    /// <summary>Reads a text of at most <paramref name="maxBytes"/> UTF-8 bytes.</summary>
    public string ReadText(int maxBytes)
    {
        var byteCount = ReadCount(maxBytes, 1);
        if (!Take(byteCount, out var bytes))
        {
            return string.Empty;
        }

        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            Fail("a text is not UTF-8");
            return string.Empty;
        }
    }

    /// <summary>Notes the first problem.</summary>
    public void Fail(string problem)
    {
        Problem ??= problem;
        _rest = default;
    }

    /// <summary>Notes a problem if bytes are left over.</summary>
    public void ExpectEnd()
    {
        if (!_rest.IsEmpty)
        {
            Fail($"{_rest.Length} bytes too many");
        }
    }

    private bool Take(int byteCount, out ReadOnlySpan<byte> bytes)
    {
        if (byteCount > _rest.Length)
        {
            Fail($"it ends {byteCount - _rest.Length} bytes early");
            bytes = default;
            return false;
        }

        bytes = _rest[..byteCount];
        _rest = _rest[byteCount..];
        return true;
    }
}
