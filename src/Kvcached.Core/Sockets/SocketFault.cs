using Kvcached.Core.Contracts;
using Kvcached.Core.Decisions;

namespace Kvcached.Core.Sockets;

/// <summary>What can be wrong with a packet or a message.</summary>
public enum SocketFaultKind : byte
{
    None = 0,

    /// <summary>The packet is shorter than a header.</summary>
    NoHeader = 1,

    /// <summary>The stated length isn't the packet's.</summary>
    WrongLength = 2,

    /// <summary>The packet is longer than a frame may be.</summary>
    FrameTooLong = 3,

    /// <summary>A flag that has no meaning is set, or the reserved field isn't 0.</summary>
    UndefinedFlag = 4,

    /// <summary>The stated number of descriptors isn't the number that came.</summary>
    WrongDescriptorCount = 5,

    /// <summary>More descriptors than a frame may have.</summary>
    TooManyDescriptors = 6,

    /// <summary>A frame of another type came where a message was to go on.</summary>
    TypeChanged = 7,

    /// <summary>A frame of a message of several carries nothing.</summary>
    EmptyFrame = 8,

    /// <summary>The message has more bytes than allowed.</summary>
    MessageTooLong = 9,

    /// <summary>The message has more descriptors than allowed.</summary>
    MessageHasTooManyDescriptors = 10,

    /// <summary>There is no message of that type.</summary>
    UnknownType = 11,

    /// <summary>So many descriptors can't come with a message of that type.</summary>
    DescriptorsNotAllowed = 12,

    /// <summary>The body isn't that of a message of its type.</summary>
    BadBody = 13,
}

/// <summary>What is wrong with a packet or a message, and where. The connection that it came over can't be used any more.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Type">Type that the packet or message states; 0 when it doesn't get that far.</param>
/// <param name="Wire">For <see cref="SocketFaultKind.BadBody"/>: what is wrong with the body.</param>
/// <param name="OffsetBytes">For <see cref="SocketFaultKind.BadBody"/>: where in the body.</param>
public readonly record struct SocketFault(SocketFaultKind Kind, SocketMessageType Type, WireFault Wire = WireFault.None, int OffsetBytes = 0)
{
    /// <summary>True when nothing is wrong.</summary>
    public bool IsNone => Kind == SocketFaultKind.None;

    /// <summary>The fault as the answer to whoever sent it.</summary>
    public Refusal ToRefusal() => new(RefusalReason.InvalidMessage, $"{this}. The connection is closed; use a library that speaks this protocol.");

    public override string ToString()
    {
        var what = Enum.IsDefined(Type) && Type != SocketMessageType.None ? $"{Type}" : $"message type 0x{(ushort)Type:x4}";
        return Kind == SocketFaultKind.BadBody ? $"{what} can't be read: {Wire} at byte {OffsetBytes} of its body" : $"{what}: {Kind}";
    }
}
