using System.Buffers;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.TestHost;

/// <summary>One connection: a thread reads what comes, and anybody may say something.</summary>
internal sealed class Peer(UnixMessageChannel channel, Action<Peer, object, List<SafeFileHandle>> received, Action<Peer> ended)
{
    private readonly Lock _saying = new();

    /// <summary>What the connection serves, once that is known.</summary>
    public object? Owner { get; set; }

    public void Start() => new Thread(Listen) { IsBackground = true }.Start();

    /// <summary>Sends a message. False when the connection has ended.</summary>
    public bool Say(object message, params SafeFileHandle[] descriptors)
    {
        lock (_saying)
        {
            var body = new ArrayBufferWriter<byte>();
            var frames = new FrameSplitter(EngineSocketCodec.Write(message, body), body.WrittenMemory, descriptors.Length);
            var frame = new byte[SocketLimits.MaxFrameBytes];
            do
            {
                var length = frames.Write(frame);
                if (!channel.Send(frame.AsSpan(0, length), descriptors.AsSpan(frames.FirstDescriptor, frames.FrameDescriptorCount)))
                {
                    return false;
                }
            }
            while (frames.MoveNext());
            return true;
        }
    }

    public void Drop() => channel.Shutdown();

    private void Listen()
    {
        var assembler = new FrameAssembler();
        var packet = new byte[SocketLimits.MaxFrameBytes];
        var descriptors = new List<SafeFileHandle>();
        var before = 0;
        while (channel.Receive(packet, out var length, descriptors) == ReceiveStatus.Message)
        {
            var status = assembler.Add(packet.AsSpan(0, length), descriptors.Count - before, out var body);
            before = descriptors.Count;
            if (status == FrameStatus.Incomplete)
            {
                continue;
            }

            if (status == FrameStatus.Fault || !EngineSocketCodec.TryRead(assembler.Type, body, descriptors.Count, out var message, out var fault))
            {
                Console.Error.WriteLine($"broken message: {assembler.Fault}");
                break;
            }

            received(this, message, descriptors);
            (descriptors, before) = ([], 0);
        }

        ended(this);
        channel.Dispose();
    }
}
