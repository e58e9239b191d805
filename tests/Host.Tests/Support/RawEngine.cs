using System.Buffers;
using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Tests.Support;

/// <summary>An engine process's end of the socket, without any library: says what a test wants it to say, right or wrong.</summary>
internal sealed class RawEngine : IDisposable
{
    private readonly FrameAssembler _assembler = new();
    private readonly byte[] _buffer = new byte[SocketLimits.MaxFrameBytes];

    private RawEngine(UnixMessageChannel channel) => Channel = channel;

    public UnixMessageChannel Channel { get; }

    /// <summary>The descriptors that came with the last message.</summary>
    public List<SafeFileHandle> Descriptors { get; } = [];

    public static RawEngine Connect(string path) => UnixMessageChannel.TryConnect(path, HostLauncher.Patience, out var channel, out var failure)
        ? new RawEngine(channel)
        : throw new InvalidOperationException(failure.Text);

    /// <summary>Connects and says Hello; the answer must be Welcome.</summary>
    public static async Task<RawEngine> GreetAsync(string path, EngineRole role)
    {
        var engine = Connect(path);
        engine.Say(Hello(role));
        Assert.IsType<SocketProtocol.Welcome>(await engine.HearAsync());
        return engine;
    }

    public static SocketProtocol.Hello Hello(EngineRole role) => new(1, 1, role, "test", Environment.ProcessId);

    /// <summary>A small pool on the host HOST-0, mapped by the host itself.</summary>
    public static PoolSpec Spec() => new(
        "p", new PoolGeometry(KvLayout.Contiguous, 0, [8], [new RankShape(GpuId.Parse("HOST-0"), [new KvGroupShape("full", KvGroupKind.MultiHead, 16, 1, 2, 4096, 2 << 20)])]),
        PoolTarget.Host, 0, 0, 1);

    public void Say(object message, params ImmutableArray<SafeFileHandle> descriptors)
    {
        var body = new ArrayBufferWriter<byte>();
        var type = EngineSocketCodec.Write(message, body);
        var frames = new FrameSplitter(type, body.WrittenMemory, descriptors.Length);
        do
        {
            var frame = new byte[frames.FrameBytes];
            frames.Write(frame);
            Assert.True(Channel.Send(frame, descriptors.AsSpan(frames.FirstDescriptor, frames.FrameDescriptorCount)));
        }
        while (frames.MoveNext());
    }

    /// <summary>The next message; null once the host has closed the connection.</summary>
    public Task<object?> HearAsync() => Task.Factory.StartNew(Hear, default, TaskCreationOptions.LongRunning, TaskScheduler.Default).WaitAsync(HostLauncher.Patience);

    /// <summary>Waits until a message of that kind comes; others are left out.</summary>
    public async Task<T> HearAsync<T>()
    {
        while (true)
        {
            var heard = await HearAsync();
            Assert.NotNull(heard);
            if (heard is T wanted)
            {
                return wanted;
            }
        }
    }

    public void Dispose()
    {
        Channel.Dispose();
        Descriptors.ForEach(descriptor => descriptor.Dispose());
    }

    private object? Hear()
    {
        Descriptors.ForEach(descriptor => descriptor.Dispose());
        Descriptors.Clear();
        while (true)
        {
            var before = Descriptors.Count;
            if (Channel.Receive(_buffer, out var length, Descriptors) != ReceiveStatus.Message)
            {
                return null;
            }

            switch (_assembler.Add(_buffer.AsSpan(0, length), Descriptors.Count - before, out var body))
            {
                case FrameStatus.Message:
                    Assert.True(EngineSocketCodec.TryRead(_assembler.Type, body, _assembler.DescriptorCount, out var message, out var fault), fault.ToString());
                    return message;
                case FrameStatus.Fault:
                    throw new InvalidOperationException(_assembler.Fault.ToString());
            }
        }
    }
}
