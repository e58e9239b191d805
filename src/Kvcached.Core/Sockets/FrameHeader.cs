using System.Buffers.Binary;

namespace Kvcached.Core.Sockets;

/// <summary>
/// The first bytes of every packet: its length (32 bits), type, flags, descriptor count and a reserved 0 (16 bits each), little-endian.
/// </summary>
/// <param name="FrameBytes">Bytes of the packet, this header included.</param>
/// <param name="Type">Type of the message that the frame belongs to.</param>
/// <param name="IsContinued">True when the message goes on in the next packet.</param>
/// <param name="DescriptorCount">Descriptors that come with the packet.</param>
public readonly record struct FrameHeader(int FrameBytes, SocketMessageType Type, bool IsContinued, int DescriptorCount)
{
    /// <summary>Bytes of the header.</summary>
    public const int ByteCount = 12;

    private const ushort ContinuedFlag = 1;

    /// <summary>Writes the header's bytes.</summary>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(destination[10..], 0);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[8..], (ushort)DescriptorCount);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[6..], IsContinued ? ContinuedFlag : (ushort)0);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[4..], (ushort)Type);
        BinaryPrimitives.WriteUInt32LittleEndian(destination, (uint)FrameBytes);
    }

    /// <summary>Reads the header of a whole packet and compares it with what came.</summary>
    /// <param name="packet">The packet.</param>
    /// <param name="descriptorCount">Descriptors that came with it.</param>
    /// <param name="header">The header, when nothing is wrong.</param>
    /// <returns>What is wrong; <see cref="SocketFaultKind.None"/> when all is well.</returns>
    public static SocketFault Read(ReadOnlySpan<byte> packet, int descriptorCount, out FrameHeader header)
    {
        header = default;
        if (packet.Length < ByteCount)
        {
            return new SocketFault(SocketFaultKind.NoHeader, SocketMessageType.None);
        }

        var type = (SocketMessageType)BinaryPrimitives.ReadUInt16LittleEndian(packet[4..]);
        var flags = BinaryPrimitives.ReadUInt16LittleEndian(packet[6..]);
        var stated = BinaryPrimitives.ReadUInt16LittleEndian(packet[8..]);
        var kind = packet.Length > SocketLimits.MaxFrameBytes ? SocketFaultKind.FrameTooLong
            : BinaryPrimitives.ReadUInt32LittleEndian(packet) != packet.Length ? SocketFaultKind.WrongLength
            : (flags & ~ContinuedFlag) != 0 || BinaryPrimitives.ReadUInt16LittleEndian(packet[10..]) != 0 ? SocketFaultKind.UndefinedFlag
            : stated != descriptorCount ? SocketFaultKind.WrongDescriptorCount
            : descriptorCount > SocketLimits.MaxFrameDescriptors ? SocketFaultKind.TooManyDescriptors
            : SocketFaultKind.None;
        if (kind == SocketFaultKind.None)
        {
            header = new FrameHeader(packet.Length, type, (flags & ContinuedFlag) != 0, descriptorCount);
        }

        return new SocketFault(kind, kind == SocketFaultKind.None ? SocketMessageType.None : type);
    }
}
