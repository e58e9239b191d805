using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Kvcached.Core.Contracts;

/// <summary>
/// Writes values in the wire format: little-endian, fixed widths, counts and lengths as 32 bits. Into a span of the caller's, or into a
/// growing buffer.
/// </summary>
/// <remarks>
/// Running out of room is no exception: the value that didn't fit and all after it are left out, and <see cref="IsOverflown"/> says so.
/// </remarks>
public ref struct WireWriter
{
    private readonly IBufferWriter<byte>? _output;
    private Span<byte> _room;
    private int _used;
    private long _flushedBytes;

    /// <summary>Writes into that span and no further.</summary>
    public WireWriter(Span<byte> destination) => _room = destination;

    /// <summary>Writes into a buffer that grows; <see cref="Flush"/> hands it the last bytes.</summary>
    public WireWriter(IBufferWriter<byte> output)
    {
        _output = output;
        _room = output.GetSpan();
    }

    /// <summary>True when something didn't fit; what was written is of no use then.</summary>
    public bool IsOverflown { get; private set; }

    /// <summary>Bytes written so far.</summary>
    public readonly long WrittenBytes => _flushedBytes + _used;

    /// <summary>Tells the growing buffer how much was written; without one it does nothing.</summary>
    public void Flush()
    {
        if (_output is null)
        {
            return;
        }

        _output.Advance(_used);
        _flushedBytes += _used;
        _used = 0;
        _room = default;
    }

    public void WriteByte(byte value)
    {
        if (TryReserve(1, out var room))
        {
            room[0] = value;
        }
    }

    public void WriteFlag(bool value) => WriteByte(value ? (byte)1 : (byte)0);

    public void WriteInt32(int value)
    {
        if (TryReserve(sizeof(int), out var room))
        {
            BinaryPrimitives.WriteInt32LittleEndian(room, value);
        }
    }

    public void WriteUInt32(uint value) => WriteInt32(unchecked((int)value));

    public void WriteInt64(long value)
    {
        if (TryReserve(sizeof(long), out var room))
        {
            BinaryPrimitives.WriteInt64LittleEndian(room, value);
        }
    }

    public void WriteDouble(double value) => WriteInt64(BitConverter.DoubleToInt64Bits(value));

    public void WriteTimeSpan(TimeSpan value) => WriteInt64(value.Ticks);

    public void WriteGuid(Guid value)
    {
        if (TryReserve(16, out var room))
        {
            value.TryWriteBytes(room, bigEndian: false, out _);
        }
    }

    /// <summary>Writes a text as its length in bytes (-1 for null) and UTF-8; an unpaired surrogate becomes U+FFFD.</summary>
    public void WriteText(string? value)
    {
        if (value is null)
        {
            WriteInt32(-1);
            return;
        }

        var byteCount = Encoding.UTF8.GetByteCount(value);
        WriteInt32(byteCount);
        if (TryReserve(byteCount, out var room))
        {
            Encoding.UTF8.GetBytes(value, room);
        }
    }

    /// <summary>Takes room for so many bytes, which the caller must fill; false when there isn't as much.</summary>
    public bool TryReserve(long byteCount, out Span<byte> room)
    {
        if (byteCount > _room.Length - _used && !TryGrow(byteCount))
        {
            room = default;
            return false;
        }

        room = _room.Slice(_used, (int)byteCount);
        _used += (int)byteCount;
        return true;
    }

    private bool TryGrow(long byteCount)
    {
        if (_output is null || IsOverflown || WrittenBytes + byteCount > Array.MaxLength)
        {
            // Nothing may follow what was left out, even if it is small enough to fit.
            IsOverflown = true;
            _room = _room[.._used];
            return false;
        }

        Flush();
        _room = _output.GetSpan((int)byteCount);
        return true;
    }
}
