using System.Buffers;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Actors.Lanes;

/// <summary>
/// One side of a lane: frames in order over a sequenced-packet socket. Any thread sends, and never waits: what the socket doesn't take waits within limits. What
/// comes in is handed over on the thread of an <see cref="EpollLoop"/>, all of it before the end of the lane is told.
/// </summary>
internal sealed class LaneConnection : IDisposable
{
    /// <summary>Most bytes and messages that wait for the other side to read. Beyond that it hangs, and the lane ends.</summary>
    private const int MaxWaitingBytes = 64 << 20;
    private const int MaxWaitingMessages = 1 << 16;

    private const int FrameBufferBytes = 1024;

    private readonly EpollLoop _loop;
    private readonly UnixMessageChannel _channel;
    private readonly Lock _sending = new();
    private readonly OutgoingMessages _outgoing;
    private readonly FrameAssembler _assembler = new();
    private readonly List<SafeFileHandle> _descriptors = [];
    private readonly byte[] _packet = new byte[SocketLimits.MaxFrameBytes];
    private ArrayBufferWriter<byte> _frame = new(FrameBufferBytes);
    private Receiver _receive = (_, _) => null;
    private Action<string> _lost = _ => { };
    private string? _why;
    private long _token;
    private bool _isOver;
    private bool _isWatchedForRoom;

    /// <param name="loop">Has the thread on which everything comes in.</param>
    /// <param name="channel">The socket, taken over.</param>
    public LaneConnection(EpollLoop loop, UnixMessageChannel channel)
    {
        _loop = loop;
        _channel = channel;
        _outgoing = new OutgoingMessages(channel, MaxWaitingBytes, MaxWaitingMessages, maxDescriptors: 0);
    }

    /// <summary>Takes a message in; null, or why the lane must end.</summary>
    public delegate string? Receiver(LaneFrameType type, ReadOnlySpan<byte> body);

    /// <summary>Begins to receive. On the loop's thread.</summary>
    /// <param name="receive">Gets every message, in order.</param>
    /// <param name="lost">Called once, last, with the reason.</param>
    public void Start(Receiver receive, Action<string> lost)
    {
        (_receive, _lost) = (receive, lost);
        if (!_loop.TryAdd(_channel.Socket, Readiness.Readable, Handle, out _token))
        {
            _why = "the system can't watch its socket";
            End();
        }
    }

    /// <summary>Others take what comes from now on. On the loop's thread.</summary>
    public void HandOver(Receiver receive, Action<string> lost) => (_receive, _lost) = (receive, lost);

    /// <summary>Sends a message whose body is written by <paramref name="write"/>. False when the lane is at its end: then it may be lost.</summary>
    /// <exception cref="System.Runtime.Serialization.SerializationException">It can't be written; nothing was sent.</exception>
    public bool Send<T>(LaneFrameType type, T message, Action<T, IBufferWriter<byte>> write)
    {
        lock (_sending)
        {
            if (_isOver || _why is not null)
            {
                return false;
            }

            _frame.ResetWrittenCount();
            _frame.GetSpan(FrameHeader.ByteCount)[..FrameHeader.ByteCount].Clear();
            _frame.Advance(FrameHeader.ByteCount);
            write(message, _frame);
            var isTaken = TrySend(type) || Fail("more waits to be sent than is allowed, because the other side doesn't read, or a message is too long");
            _frame = _frame.Capacity > SocketLimits.MaxFrameBytes ? new ArrayBufferWriter<byte>(FrameBufferBytes) : _frame;
            return isTaken;
        }
    }

    /// <summary>Ends the lane, once what came in is handed over. From any thread; does nothing a second time.</summary>
    public void Close(string why)
    {
        lock (_sending)
        {
            Fail(why);
        }
    }

    /// <summary>Ends the lane now: what came in and wasn't handed over yet is lost. On the loop's thread.</summary>
    public void Abort(string why)
    {
        _why = why;
        End();
    }

    /// <summary>Ends the lane now, without telling anyone. On the loop's thread.</summary>
    public void Dispose()
    {
        _lost = _ => { };
        End();
    }

    private bool TrySend(LaneFrameType type)
    {
        var bytes = _frame.WrittenCount;
        if (bytes <= SocketLimits.MaxFrameBytes && _outgoing.IsEmpty)
        {
            System.Runtime.InteropServices.MemoryMarshal.TryGetArray(_frame.WrittenMemory, out var segment);
            new FrameHeader(bytes, (SocketMessageType)type, IsContinued: false, DescriptorCount: 0).Write(segment);
            switch (_channel.TrySend(segment, []))
            {
                case SendStatus.Sent:
                    return true;
                case SendStatus.Closed:
                    // Whatever it had said before is read first; then the loop sees that it is gone.
                    return true;
            }
        }

        if (!_outgoing.TryAdd((SocketMessageType)type, _frame.WrittenSpan[FrameHeader.ByteCount..].ToArray(), []))
        {
            return false;
        }

        Flush();
        return true;
    }

    // With the lock held.
    private bool Fail(string why)
    {
        if (_why is null && !_isOver)
        {
            _why = why;

            // What the other side has sent is still there to be read, then comes the end.
            _channel.Shutdown();
        }

        return false;
    }

    private void Flush()
    {
        var isFull = _outgoing.Flush() is SendStatus.Full or SendStatus.Busy;
        if (isFull != _isWatchedForRoom)
        {
            _isWatchedForRoom = isFull;
            _loop.Post(() => _loop.Change(_token, _channel.Socket, isFull ? Readiness.Readable | Readiness.Writable : Readiness.Readable));
        }
    }

    private void Handle(Readiness ready)
    {
        if ((ready & Readiness.Writable) != 0)
        {
            lock (_sending)
            {
                if (!_isOver)
                {
                    Flush();
                }
            }
        }

        if ((ready & Readiness.Readable) != 0 && !_isOver)
        {
            ReceiveOne();
        }
    }

    // One at a time: the loop comes back as long as there is more, and most of the time there isn't.
    private void ReceiveOne()
    {
        switch (_channel.TryReceive(_packet, out var length, _descriptors))
        {
            case ReceiveStatus.Nothing:
                return;
            case ReceiveStatus.Closed:
                _why ??= "the other side has closed it";
                End();
                return;
            case ReceiveStatus.Truncated:
                Abort("a packet came cut");
                return;
        }

        var status = _assembler.Add(_packet.AsSpan(0, length), _descriptors.Count, out var body);
        if (status == FrameStatus.Fault || _descriptors.Count > 0)
        {
            Abort(status == FrameStatus.Fault ? _assembler.Fault.ToRefusal().Detail : "descriptors came with a message, which no message of a lane has");
        }
        else if (status == FrameStatus.Message && _receive((LaneFrameType)_assembler.Type, body) is { } problem)
        {
            Abort(problem);
        }
    }

    private void End()
    {
        lock (_sending)
        {
            if (_isOver)
            {
                return;
            }

            _isOver = true;
            _outgoing.Dispose();
        }

        _descriptors.ForEach(descriptor => descriptor.Dispose());
        _descriptors.Clear();
        _loop.Remove(_token, _channel.Socket);
        _channel.DisposeGently();
        _lost(_why ?? "it was closed here");
    }
}
