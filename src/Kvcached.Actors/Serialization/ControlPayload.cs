using System.Runtime.CompilerServices;

namespace Kvcached.Actors.Serialization;

/// <summary>
/// The bytes of one control message, for Hyperion to read. Reading past the end fails at once, and so does nesting deeper than any
/// message of ours: Hyperion descends as far as the bytes say, and running out of stack would end the process.
/// </summary>
internal sealed class ControlPayload : Stream
{
    // Ours nest some ten levels of well under 1 KiB each.
    private const int MaxStackBytes = 64 << 10;

    private readonly byte[] _bytes;
    private readonly nint _stackBase;
    private int _offset;

    public ControlPayload(byte[] bytes, int offset)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        _bytes = bytes;
        _offset = offset;
        _stackBase = StackPosition();
    }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => _bytes.Length;

    public override long Position
    {
        get => _offset;
        set => throw new NotSupportedException();
    }

    public bool IsAtEnd => _offset == _bytes.Length;

    public override int ReadByte() => Take(1)[0];

    public override int Read(byte[] buffer, int offset, int count)
    {
        Take(count).CopyTo(buffer.AsSpan(offset, count));
        return count;
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    private ReadOnlySpan<byte> Take(int count)
    {
        if (_stackBase - StackPosition() > MaxStackBytes)
        {
            throw new InvalidDataException($"Nested deeper than any control message, at byte {_offset} of {_bytes.Length}.");
        }

        if ((uint)count > (uint)(_bytes.Length - _offset))
        {
            throw new EndOfStreamException($"{count} bytes are wanted at byte {_offset} of {_bytes.Length}.");
        }

        var taken = _bytes.AsSpan(_offset, count);
        _offset += count;
        return taken;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint StackPosition()
    {
        byte here = 0;
        return Unsafe.ByteOffset(ref Unsafe.NullRef<byte>(), ref here);
    }
}
