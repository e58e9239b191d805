using System.Collections.Immutable;
using Kvcached.Core.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Sockets;

/// <summary>
/// The messages that wait to go out over one connection, in order, with their descriptors, and within limits. For one thread at a time.
/// </summary>
/// <param name="channel">The connection.</param>
/// <param name="maxBytes">Most bytes of bodies that may wait.</param>
/// <param name="maxMessages">Most messages that may wait.</param>
/// <param name="maxDescriptors">Most descriptors that may wait.</param>
public sealed class OutgoingMessages(UnixMessageChannel channel, long maxBytes, int maxMessages, int maxDescriptors) : IDisposable
{
    private readonly Queue<Waiting> _waiting = new();
    private byte[] _frame = [];
    private long _bytes;
    private int _descriptors;
    private bool _isDisposed;

    private sealed record Waiting(FrameSplitter Frames, int BodyBytes, ImmutableArray<SafeFileHandle> Descriptors);

    /// <summary>True when nothing waits.</summary>
    public bool IsEmpty => _waiting.Count == 0;

    /// <summary>Bytes of bodies that wait.</summary>
    public long WaitingBytes => _bytes;

    /// <summary>Puts a message behind those that wait. Takes its descriptors over whatever the outcome.</summary>
    /// <returns>False when it is larger than a message may be, or more would wait than is allowed.</returns>
    public bool TryAdd(SocketMessageType type, ReadOnlyMemory<byte> body, ImmutableArray<SafeFileHandle> descriptors)
    {
        var owned = descriptors.IsDefault ? [] : descriptors;
        if (_isDisposed || !SocketLimits.Allows(body.Length, owned.Length) || _bytes + body.Length > maxBytes || _waiting.Count >= maxMessages
            || _descriptors + owned.Length > maxDescriptors)
        {
            Close(owned);
            return false;
        }

        _waiting.Enqueue(new Waiting(new FrameSplitter(type, body, owned.Length), body.Length, owned));
        _bytes += body.Length;
        _descriptors += owned.Length;
        return true;
    }

    /// <summary>
    /// Sends what the socket takes, without waiting. <see cref="SendStatus.Sent"/> when nothing waits any more. Descriptors are closed once they are sent.
    /// </summary>
    public SendStatus Flush()
    {
        while (_waiting.TryPeek(out var message))
        {
            var status = SendFrame(message);
            if (status != SendStatus.Sent)
            {
                return status;
            }

            if (!message.Frames.MoveNext())
            {
                _waiting.Dequeue();
                _bytes -= message.BodyBytes;
            }
        }

        // What one large message took isn't kept for ever.
        _frame = [];
        return SendStatus.Sent;
    }

    /// <summary>Drops what waits and closes its descriptors.</summary>
    public void Dispose()
    {
        _isDisposed = true;
        while (_waiting.TryDequeue(out var message))
        {
            Close(message.Descriptors);
        }

        (_bytes, _descriptors) = (0, 0);
    }

    private SendStatus SendFrame(Waiting message)
    {
        var frames = message.Frames;
        if (_frame.Length < frames.FrameBytes)
        {
            _frame = new byte[frames.FrameBytes];
        }

        var descriptors = message.Descriptors.AsSpan(frames.FirstDescriptor, frames.FrameDescriptorCount);
        var status = channel.TrySend(_frame.AsSpan(0, frames.Write(_frame)), descriptors);
        if (status == SendStatus.Sent)
        {
            _descriptors -= descriptors.Length;
            foreach (var descriptor in descriptors)
            {
                descriptor.Dispose();
            }
        }

        return status;
    }

    private static void Close(ImmutableArray<SafeFileHandle> descriptors)
    {
        foreach (var descriptor in descriptors)
        {
            descriptor.Dispose();
        }
    }
}
