namespace Kvcached.Core.Sockets;

/// <summary>What a packet was to the message it belongs to.</summary>
public enum FrameStatus
{
    /// <summary>The message goes on in another packet.</summary>
    Incomplete,

    /// <summary>The message is whole.</summary>
    Message,

    /// <summary>The packet breaks a rule; nothing that comes after it can be understood.</summary>
    Fault,
}

/// <summary>
/// Puts the packets of one direction of a connection together into messages. The packets come from a stranger: whatever is wrong with them is
/// an answer, never an exception, and the memory held is at most twice what was received.
/// </summary>
public sealed class FrameAssembler
{
    private byte[] _parts = [];
    private int _partsBytes;
    private int _descriptorCount;
    private bool _isOpen;

    /// <summary>Type of the message that is whole or that goes on.</summary>
    public SocketMessageType Type { get; private set; }

    /// <summary>Descriptors of that message so far.</summary>
    public int DescriptorCount => _descriptorCount;

    /// <summary>Bytes held for a message that isn't whole.</summary>
    public int HeldBytes => _isOpen ? _partsBytes : 0;

    /// <summary>What is wrong; once it is, it stays.</summary>
    public SocketFault Fault { get; private set; }

    /// <summary>Takes the next packet in.</summary>
    /// <param name="packet">All of its bytes.</param>
    /// <param name="descriptorCount">Descriptors that came with it.</param>
    /// <param name="body">The message's body when it is whole; valid as long as <paramref name="packet"/> is, and until the next call.</param>
    public FrameStatus Add(ReadOnlySpan<byte> packet, int descriptorCount, out ReadOnlySpan<byte> body)
    {
        body = default;
        if (!Fault.IsNone)
        {
            return FrameStatus.Fault;
        }

        Fault = FrameHeader.Read(packet, descriptorCount, out var header);
        if (!Fault.IsNone)
        {
            return Stop();
        }

        if (!_isOpen)
        {
            (_parts, _partsBytes, _descriptorCount, Type) = ([], 0, 0, header.Type);
        }

        var part = packet[FrameHeader.ByteCount..];
        if (FindFault(header, part.Length) is var kind and not SocketFaultKind.None)
        {
            Fault = new SocketFault(kind, header.Type);
            return Stop();
        }

        _descriptorCount += descriptorCount;
        if (!_isOpen && !header.IsContinued)
        {
            // The usual message is one packet, which is read where it lies.
            body = part;
            return FrameStatus.Message;
        }

        Keep(part);
        _isOpen = header.IsContinued;
        if (_isOpen)
        {
            return FrameStatus.Incomplete;
        }

        body = _parts.AsSpan(0, _partsBytes);
        return FrameStatus.Message;
    }

    private SocketFaultKind FindFault(FrameHeader header, int partBytes) =>
        header.Type != Type ? SocketFaultKind.TypeChanged

        // Without this rule a sender could keep a message open for ever at no cost.
        : (_isOpen || header.IsContinued) && partBytes == 0 && header.DescriptorCount == 0 ? SocketFaultKind.EmptyFrame
        : _partsBytes + partBytes > SocketLimits.MaxMessageBytes ? SocketFaultKind.MessageTooLong
        : _descriptorCount + header.DescriptorCount > SocketLimits.MaxMessageDescriptors ? SocketFaultKind.MessageHasTooManyDescriptors
        : SocketFaultKind.None;

    private void Keep(ReadOnlySpan<byte> part)
    {
        var needed = _partsBytes + part.Length;
        if (needed > _parts.Length)
        {
            Array.Resize(ref _parts, Math.Min(Math.Max(needed, 2 * _partsBytes), SocketLimits.MaxMessageBytes));
        }

        part.CopyTo(_parts.AsSpan(_partsBytes));
        _partsBytes = needed;
    }

    private FrameStatus Stop()
    {
        (_parts, _partsBytes, _isOpen) = ([], 0, false);
        return FrameStatus.Fault;
    }
}
