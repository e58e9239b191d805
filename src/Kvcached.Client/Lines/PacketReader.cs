using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Lines;

/// <summary>Makes messages of what comes over a channel. Used by one thread.</summary>
internal sealed class PacketReader(UnixMessageChannel channel)
{
    private readonly FrameAssembler _assembler = new();
    private readonly byte[] _packet = new byte[SocketLimits.MaxFrameBytes];
    private readonly List<SafeFileHandle> _arrived = [];
    private int _countBefore;

    /// <summary>What broke a rule of the protocol; null when the connection just ended.</summary>
    public Refusal? Fault { get; private set; }

    /// <summary>Waits for the next message that the host may send. Null when the connection has ended, or broke a rule.</summary>
    /// <param name="descriptors">Its descriptors, which are the caller's.</param>
    public object? Receive(out ImmutableArray<SafeFileHandle> descriptors)
    {
        descriptors = [];
        while (channel.Receive(_packet, out var length, _arrived) is var status)
        {
            if (status != ReceiveStatus.Message)
            {
                return Fail(status == ReceiveStatus.Truncated
                    ? new Refusal(RefusalReason.InvalidMessage, "A packet of the host came cut: it was too long, or this process may open no more descriptors (ulimit -n).")
                    : null);
            }

            switch (_assembler.Add(_packet.AsSpan(0, length), _arrived.Count - _countBefore, out var body))
            {
                case FrameStatus.Incomplete:
                    _countBefore = _arrived.Count;
                    continue;
                case FrameStatus.Fault:
                    return Fail(_assembler.Fault.ToRefusal());
            }

            _countBefore = 0;
            if (!_assembler.Type.IsFromHost())
            {
                return Fail(new Refusal(RefusalReason.InvalidMessage, $"The host sent {_assembler.Type}, which only an engine may send."));
            }

            if (!EngineSocketCodec.TryRead(_assembler.Type, body, _arrived.Count, out var message, out var fault))
            {
                return Fail(fault.ToRefusal());
            }

            descriptors = [.. _arrived];
            _arrived.Clear();
            return message;
        }

        return null;
    }

    private object? Fail(Refusal? fault)
    {
        Fault = fault;
        foreach (var descriptor in _arrived)
        {
            descriptor.Dispose();
        }

        _arrived.Clear();
        return null;
    }
}
