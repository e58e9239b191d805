using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Unicode;

namespace Kvcached.Core.Contracts;

/// <summary>
/// Reads what <see cref="WireWriter"/> wrote, from bytes that nobody has checked: every read says whether it succeeded, and no count is
/// believed before the bytes for it are there, so that memory is never taken for more than was received.
/// </summary>
/// <remarks>The first fault is kept; after it every read fails.</remarks>
public ref struct WireReader(ReadOnlySpan<byte> source)
{
    private readonly ReadOnlySpan<byte> _source = source;
    private int _offset;

    /// <summary>The first thing that was wrong.</summary>
    public WireFault Fault { get; private set; }

    /// <summary>Where the next value starts, or where the fault is, in bytes.</summary>
    public readonly int OffsetBytes => _offset;

    /// <summary>Bytes that are still to be read.</summary>
    public readonly int RemainingBytes => _source.Length - _offset;

    public bool TryReadByte(out byte value)
    {
        var isThere = TryTake(1, out var bytes);
        value = isThere ? bytes[0] : default;
        return isThere;
    }

    /// <summary>Reads a flag; a byte other than 0 and 1 is a fault.</summary>
    public bool TryReadFlag(out bool value)
    {
        var isThere = TryReadByte(out var number);
        value = number == 1;
        return isThere && (number <= 1 || Fail(WireFault.UndefinedValue));
    }

    public bool TryReadInt32(out int value)
    {
        var isThere = TryTake(sizeof(int), out var bytes);
        value = isThere ? BinaryPrimitives.ReadInt32LittleEndian(bytes) : default;
        return isThere;
    }

    public bool TryReadUInt32(out uint value)
    {
        var isThere = TryReadInt32(out var number);
        value = unchecked((uint)number);
        return isThere;
    }

    public bool TryReadInt64(out long value)
    {
        var isThere = TryTake(sizeof(long), out var bytes);
        value = isThere ? BinaryPrimitives.ReadInt64LittleEndian(bytes) : default;
        return isThere;
    }

    public bool TryReadDouble(out double value)
    {
        var isThere = TryReadInt64(out var bits);
        value = BitConverter.Int64BitsToDouble(bits);
        return isThere;
    }

    public bool TryReadTimeSpan(out TimeSpan value)
    {
        var isThere = TryReadInt64(out var ticks);
        value = new TimeSpan(ticks);
        return isThere;
    }

    public bool TryReadGuid(out Guid value)
    {
        var isThere = TryTake(16, out var bytes);
        value = isThere ? new Guid(bytes, bigEndian: false) : default;
        return isThere;
    }

    /// <summary>Reads a text that must be there.</summary>
    public bool TryReadText([NotNullWhen(true)] out string? value) =>
        TryReadOptionalText(out value) && (value is not null || Fail(WireFault.BadText));

    /// <summary>Reads a text or null.</summary>
    public bool TryReadOptionalText(out string? value)
    {
        value = null;
        if (!TryReadInt32(out var byteCount))
        {
            return false;
        }

        if (byteCount == -1)
        {
            return true;
        }

        if (byteCount < 0 || byteCount > RemainingBytes)
        {
            return Fail(WireFault.BadCount);
        }

        var bytes = _source.Slice(_offset, byteCount);
        if (!Utf8.IsValid(bytes))
        {
            return Fail(WireFault.BadText);
        }

        _offset += byteCount;
        value = Encoding.UTF8.GetString(bytes);
        return true;
    }

    /// <summary>Reads the count of a list; a fault when the bytes that are left could not hold so many.</summary>
    /// <param name="minimumItemBytes">The fewest bytes that one item takes, from 1.</param>
    /// <param name="count">Items that follow.</param>
    public bool TryReadCount(int minimumItemBytes, out int count)
    {
        if (!TryReadInt32(out count))
        {
            return false;
        }

        if (count < 0 || count > RemainingBytes / minimumItemBytes)
        {
            count = 0;
            return Fail(WireFault.BadCount);
        }

        return true;
    }

    /// <summary>Takes so many bytes as they are.</summary>
    public bool TryTake(int byteCount, out ReadOnlySpan<byte> bytes)
    {
        if (Fault != WireFault.None || byteCount > RemainingBytes)
        {
            bytes = default;
            return Fail(WireFault.Truncated);
        }

        bytes = _source.Slice(_offset, byteCount);
        _offset += byteCount;
        return true;
    }

    /// <summary>True when all went well and no byte is left.</summary>
    public bool TryEnd() => Fault == WireFault.None && (RemainingBytes == 0 || Fail(WireFault.TrailingBytes));

    /// <summary>Notes a fault that the caller found, unless there is one already. Always false.</summary>
    public bool Fail(WireFault fault)
    {
        if (Fault == WireFault.None)
        {
            Fault = fault;
        }

        return false;
    }

    /// <summary>The fault as an exception, for callers that have to throw.</summary>
    /// <param name="what">What was being read.</param>
    public readonly WireFormatException ToException(string what) => new(what, Fault, _offset, _source.Length);
}
