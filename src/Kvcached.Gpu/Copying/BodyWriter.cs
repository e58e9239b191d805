using System.Buffers.Binary;
using System.Text;

namespace Kvcached.Gpu.Copying;

/// <summary>Writes little-endian values into a buffer of fixed size; what no longer fits is not written, and <see cref="Fits"/> tells.</summary>
internal ref struct BodyWriter(Span<byte> buffer)
{
    private readonly Span<byte> _buffer = buffer;

    /// <summary>Bytes written.</summary>
    public int Length { get; private set; }

    /// <summary>False once a value didn't fit.</summary>
    public bool Fits { get; private set; } = true;

    public void WriteByte(byte value)
    {
        if (Take(1, out var space))
        {
            space[0] = value;
        }
    }

    public void WriteInt32(int value)
    {
        if (Take(4, out var space))
        {
            BinaryPrimitives.WriteInt32LittleEndian(space, value);
        }
    }

    public void WriteUInt32(uint value) => WriteInt32(unchecked((int)value));

    public void WriteInt64(long value)
    {
        if (Take(8, out var space))
        {
            BinaryPrimitives.WriteInt64LittleEndian(space, value);
        }
    }

    public void WriteUInt64(ulong value) => WriteInt64(unchecked((long)value));

    /// <summary>Writes the number of UTF-8 bytes, then the bytes.</summary>
    public void WriteText(string text)
    {
        var byteCount = Encoding.UTF8.GetByteCount(text);
        WriteInt32(byteCount);
        if (Take(byteCount, out var space))
        {
            Encoding.UTF8.GetBytes(text, space);
        }
    }

    private bool Take(int byteCount, out Span<byte> space)
    {
        if (!Fits || byteCount > _buffer.Length - Length)
        {
            Fits = false;
            space = default;
            return false;
        }

        space = _buffer.Slice(Length, byteCount);
        Length += byteCount;
        return true;
    }
}
