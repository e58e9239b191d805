using System.Buffers;
using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Lines;

/// <summary>A connection over a Unix socket: one thread receives; sending is done by whoever sends.</summary>
internal sealed class SocketLine : IEngineLine
{
    private readonly UnixMessageChannel _channel;
    private readonly Lock _sending = new();
    private readonly ArrayBufferWriter<byte> _body = new();
    private readonly byte[] _frame = new byte[SocketLimits.MaxFrameBytes];
    private readonly Thread _thread;
    private readonly PacketReader _reader;
    private Action<object, ImmutableArray<SafeFileHandle>> _received = (_, _) => { };
    private Action _lost = () => { };
    private bool _isStarted;

    /// <summary>Takes over a channel on which nothing was said yet.</summary>
    public SocketLine(UnixMessageChannel channel)
    {
        _channel = channel;
        _reader = new PacketReader(channel);
        KvProcess.Enter(channel.Socket);
        _thread = new Thread(ReceiveAll) { IsBackground = true, Name = "kvcached line" };
    }

    public SocketProtocol.Welcome Host { get; private set; } = null!;

    /// <summary>Has the two sides agree. The refusal, or null when the conversation may begin.</summary>
    public Refusal? Greet(EngineRole role, TimeSpan timeout)
    {
        using var self = ProcessDescriptor.OfSelf();
        var hello = new SocketProtocol.Hello(
            SocketLimits.ProtocolVersion, SocketLimits.ProtocolVersion, role, $"kvcached-client {typeof(SocketLine).Assembly.GetName().Version}", Environment.ProcessId);
        if (!Send(hello, self is null ? [] : [self]))
        {
            return new Refusal(RefusalReason.HostUnreachable, "The host closed the connection at once. See whether it is starting or stopping, and try again.");
        }

        // A host that is stopped accepts connections, but says nothing.
        using var hurry = new Timer(_ => _channel.Shutdown(), null, timeout, Timeout.InfiniteTimeSpan);
        var answer = _reader.Receive(out var descriptors);
        Discard(descriptors);
        switch (answer)
        {
            case SocketProtocol.Welcome welcome:
                Host = welcome;
                return null;
            case SocketProtocol.Rejected rejected:
                return rejected.Refusal;
            case null when _reader.Fault is { } fault:
                return fault;
            case null:
                return new Refusal(RefusalReason.HostUnreachable, $"The host didn't answer the greeting within {timeout.TotalSeconds:0.#} s, or closed the connection.");
            default:
                return new Refusal(RefusalReason.InvalidMessage, $"The host answered the greeting with {answer.GetType().Name}. Use a host and a library of one version.");
        }
    }

    public void Start(Action<object, ImmutableArray<SafeFileHandle>> received, Action lost)
    {
        (_received, _lost) = (received, lost);
        _isStarted = true;
        _thread.Start();
    }

    public bool Send(object message, ImmutableArray<SafeFileHandle> descriptors)
    {
        lock (_sending)
        {
            _body.ResetWrittenCount();
            var type = EngineSocketCodec.Write(message, _body);
            if (!SocketLimits.Allows(_body.WrittenCount, descriptors.Length))
            {
                return false;
            }

            var frames = new FrameSplitter(type, _body.WrittenMemory, descriptors.Length);
            do
            {
                var length = frames.Write(_frame);
                if (!_channel.Send(_frame.AsSpan(0, length), descriptors.AsSpan().Slice(frames.FirstDescriptor, frames.FrameDescriptorCount)))
                {
                    return false;
                }
            }
            while (frames.MoveNext());
            return true;
        }
    }

    public void Interrupt() => _channel.Shutdown();

    public void Dispose()
    {
        _channel.Shutdown();
        if (_isStarted && Thread.CurrentThread != _thread)
        {
            _thread.Join();
        }

        KvProcess.Close(_channel.Socket);
        _channel.Dispose();
    }

    internal static void Discard(ImmutableArray<SafeFileHandle> descriptors)
    {
        foreach (var descriptor in descriptors)
        {
            descriptor.Dispose();
        }
    }

    private void ReceiveAll()
    {
        KvProcess.Guard(() =>
        {
            while (_reader.Receive(out var descriptors) is { } message)
            {
                _received(message, descriptors);
            }
        });
        _channel.Shutdown();
        KvProcess.Guard(_lost);
    }
}
