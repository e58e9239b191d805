using System.Buffers.Binary;

namespace Kvcached.Gpu.Copying;

/// <summary>What a frame carries; requests are below 128, replies from there.</summary>
internal enum FrameKind : ushort
{
    Hello = 1,
    Attach = 2,
    Map = 3,
    Drop = 4,
    Stamp = 5,
    Verify = 6,
    Checksum = 7,
    Detach = 8,
    Exit = 9,
    HelloAccepted = 128,
    Done = 129,
    Verified = 130,
    Summed = 131,
    Refused = 132,
}

/// <summary>The first bytes of each frame. One frame is one message of the socket, never more or less.</summary>
/// <param name="Kind">What the body is.</param>
/// <param name="DescriptorCount">File descriptors that come with the frame.</param>
/// <param name="RequestId">Which request this is or answers.</param>
/// <param name="BodyLength">Bytes after the header.</param>
internal readonly record struct FrameHeader(FrameKind Kind, int DescriptorCount, long RequestId, int BodyLength)
{
    /// <summary>Bytes of the header.</summary>
    public const int ByteCount = 24;

    /// <summary>Most bytes of a frame, header included: well within what a socket takes as one message by default.</summary>
    public const int MaxFrameBytes = 64 * 1024;

    private const uint Magic = 0x5043_564B;

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(destination, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[4..], (ushort)Kind);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[6..], checked((ushort)DescriptorCount));
        BinaryPrimitives.WriteInt64LittleEndian(destination[8..], RequestId);
        BinaryPrimitives.WriteInt32LittleEndian(destination[16..], BodyLength);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[20..], 0);
    }

    /// <summary>Reads the header of a whole frame and compares it with what came.</summary>
    /// <param name="frame">The message.</param>
    /// <param name="descriptorCount">Descriptors that came with it.</param>
    /// <param name="header">The header, when there is no problem.</param>
    /// <returns>What is wrong, or null.</returns>
    public static string? Read(ReadOnlySpan<byte> frame, int descriptorCount, out FrameHeader header)
    {
        header = default;
        if (frame.Length < ByteCount)
        {
            return $"a frame of {frame.Length} bytes has no header";
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(frame) != Magic || BinaryPrimitives.ReadUInt32LittleEndian(frame[20..]) != 0)
        {
            return "a frame doesn't begin as this protocol's frames do";
        }

        var read = new FrameHeader(
            (FrameKind)BinaryPrimitives.ReadUInt16LittleEndian(frame[4..]),
            BinaryPrimitives.ReadUInt16LittleEndian(frame[6..]),
            BinaryPrimitives.ReadInt64LittleEndian(frame[8..]),
            BinaryPrimitives.ReadInt32LittleEndian(frame[16..]));
        if (!Enum.IsDefined(read.Kind))
        {
            return $"there is no frame kind {(ushort)read.Kind}";
        }

        if (read.BodyLength != frame.Length - ByteCount)
        {
            return $"a {read.Kind} frame states a body of {read.BodyLength} bytes and has {frame.Length - ByteCount}";
        }

        if (read.DescriptorCount != descriptorCount)
        {
            return $"a {read.Kind} frame states {read.DescriptorCount} descriptors and brought {descriptorCount}";
        }

        if (descriptorCount != 0 && read.Kind != FrameKind.Map)
        {
            return $"a {read.Kind} frame brought descriptors";
        }

        header = read;
        return null;
    }
}
