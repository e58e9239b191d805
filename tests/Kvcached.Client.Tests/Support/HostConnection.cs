using System.Buffers;
using System.Collections.Concurrent;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Tests.Support;

/// <summary>The host's end of one connection: greets by itself, and keeps what the library says for the test.</summary>
internal sealed class HostConnection : IDisposable
{
    private readonly UnixMessageChannel _channel;
    private readonly BlockingCollection<(object Message, List<SafeFileHandle> Descriptors)> _said = [];
    private readonly Thread _thread;

    public HostConnection(UnixMessageChannel channel)
    {
        _channel = channel;
        _thread = new Thread(Listen) { IsBackground = true };
        _thread.Start();
    }

    public SocketProtocol.Hello? Hello { get; private set; }

    /// <summary>The next message of that kind; others before it are dropped.</summary>
    public T Expect<T>(out List<SafeFileHandle> descriptors)
        where T : class
    {
        while (_said.TryTake(out var said, TimeSpan.FromSeconds(30)))
        {
            if (said.Message is T wanted)
            {
                descriptors = said.Descriptors;
                return wanted;
            }

            said.Descriptors.ForEach(d => d.Dispose());
        }

        throw new Xunit.Sdk.XunitException($"No {typeof(T).Name} came.");
    }

    public T Expect<T>()
        where T : class => Expect<T>(out _);

    public bool HasSaid<T>() => _said.Any(s => s.Message is T);

    public void Say(object message, params SafeFileHandle[] descriptors)
    {
        var body = new ArrayBufferWriter<byte>();
        var frames = new FrameSplitter(EngineSocketCodec.Write(message, body), body.WrittenMemory, descriptors.Length);
        var frame = new byte[SocketLimits.MaxFrameBytes];
        do
        {
            var length = frames.Write(frame);
            _channel.Send(frame.AsSpan(0, length), descriptors.AsSpan(frames.FirstDescriptor, frames.FrameDescriptorCount));
        }
        while (frames.MoveNext());
    }

    /// <summary>The host vanishes.</summary>
    public void Dispose()
    {
        _channel.Dispose();
        _thread.Join();
        foreach (var (_, descriptors) in _said)
        {
            descriptors.ForEach(d => d.Dispose());
        }
    }

    private void Listen()
    {
        var assembler = new FrameAssembler();
        var packet = new byte[SocketLimits.MaxFrameBytes];
        var descriptors = new List<SafeFileHandle>();
        var before = 0;
        while (_channel.Receive(packet, out var length, descriptors) == ReceiveStatus.Message)
        {
            var status = assembler.Add(packet.AsSpan(0, length), descriptors.Count - before, out var body);
            before = descriptors.Count;
            if (status != FrameStatus.Message)
            {
                continue;
            }

            Assert.True(EngineSocketCodec.TryRead(assembler.Type, body, descriptors.Count, out var message, out var fault), fault.ToString());
            if (message is SocketProtocol.Hello hello)
            {
                Hello = hello;
                descriptors.ForEach(d => d.Dispose());
                Say(new SocketProtocol.Welcome(1, new HostIncarnation(7), TestPool.Device, "default", "host", TestPool.PageBytes, "test"));
            }
            else
            {
                _said.Add((message, descriptors));
            }

            descriptors = [];
            before = 0;
        }
    }
}
