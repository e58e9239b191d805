namespace Kvcached.Core.Sockets;

/// <summary>
/// Cuts one message into frames. Each takes as many of the bytes and of the descriptors as it may, so that either can run out first; the last
/// frame is the one without the continued flag.
/// </summary>
/// <remarks>
/// Writing a frame and going on to the next are two calls, so that a frame for which the socket has no room can be written again later.
/// </remarks>
public sealed class FrameSplitter
{
    private readonly SocketMessageType _type;
    private readonly ReadOnlyMemory<byte> _body;
    private readonly int _descriptorCount;
    private int _bodyOffset;

    /// <param name="type">Type of the message.</param>
    /// <param name="body">Its body; must stay as it is until the last frame is sent.</param>
    /// <param name="descriptorCount">Descriptors that go with it.</param>
    /// <exception cref="ArgumentOutOfRangeException">The message is over the limits (<see cref="SocketLimits.Allows"/>).</exception>
    public FrameSplitter(SocketMessageType type, ReadOnlyMemory<byte> body, int descriptorCount)
    {
        if (!SocketLimits.Allows(body.Length, descriptorCount))
        {
            throw new ArgumentOutOfRangeException(
                nameof(body), $"A {type} of {body.Length} bytes and {descriptorCount} descriptors is more than one message may be.");
        }

        (_type, _body, _descriptorCount) = (type, body, descriptorCount);
    }

    /// <summary>True once all frames have been passed.</summary>
    public bool IsDone { get; private set; }

    /// <summary>The first descriptor of the current frame, counted over the message.</summary>
    public int FirstDescriptor { get; private set; }

    /// <summary>Descriptors that go with the current frame.</summary>
    public int FrameDescriptorCount => Math.Min(_descriptorCount - FirstDescriptor, SocketLimits.MaxFrameDescriptors);

    /// <summary>Bytes of the current frame, its header included.</summary>
    public int FrameBytes => FrameHeader.ByteCount + Math.Min(_body.Length - _bodyOffset, SocketLimits.MaxFrameBodyBytes);

    /// <summary>Writes the current frame and returns its length. The same frame each time, until <see cref="MoveNext"/>.</summary>
    /// <param name="destination">At least <see cref="FrameBytes"/>.</param>
    public int Write(Span<byte> destination)
    {
        var bodyBytes = FrameBytes - FrameHeader.ByteCount;
        var isContinued = _bodyOffset + bodyBytes < _body.Length || FirstDescriptor + FrameDescriptorCount < _descriptorCount;
        new FrameHeader(FrameBytes, _type, isContinued, FrameDescriptorCount).Write(destination);
        _body.Span.Slice(_bodyOffset, bodyBytes).CopyTo(destination[FrameHeader.ByteCount..]);
        return FrameBytes;
    }

    /// <summary>Goes on to the next frame. False when the current one was the last.</summary>
    public bool MoveNext()
    {
        (_bodyOffset, FirstDescriptor) = (_bodyOffset + FrameBytes - FrameHeader.ByteCount, FirstDescriptor + FrameDescriptorCount);
        IsDone = _bodyOffset == _body.Length && FirstDescriptor == _descriptorCount;
        return !IsDone;
    }
}
