using System.Buffers;
using Kvcached.Core.Engines;
using Kvcached.Core.Sockets;
using Kvcached.Core.Workers;

namespace Kvcached.Core.Tests.Sockets;

/// <summary>The messages that may go over an engine socket, found by reflection so that none can be forgotten, and their way into packets.</summary>
internal static class SocketMessages
{
    public static IReadOnlyList<Type> All { get; } =
    [
        .. new[] { typeof(SocketProtocol), typeof(EngineProtocol), typeof(WorkerProtocol) }
            .SelectMany(protocol => protocol.GetNestedTypes())
            .Where(type => !type.IsInterface && type.GetInterface("IMessage") is not null

                // A gateway says it to the coordinator; an engine can't.
                && type != typeof(EngineProtocol.SessionDied)),
    ];

    public static object Make(Type type, SampleStyle style = SampleStyle.Random, int seed = 1) =>
        type == typeof(WorkerProtocol.Detach) ? WorkerProtocol.Detach.Instance : new SampleMaker(style, seed).Make(type);

    public static (SocketMessageType Type, byte[] Body) Encode(object message)
    {
        var buffer = new ArrayBufferWriter<byte>();
        return (EngineSocketCodec.Write(message, buffer), buffer.WrittenSpan.ToArray());
    }

    /// <summary>The packets of a message as the splitter makes them, with the descriptors of each.</summary>
    public static List<(byte[] Packet, int DescriptorCount)> Split(SocketMessageType type, byte[] body, int descriptorCount)
    {
        var packets = new List<(byte[], int)>();
        var splitter = new FrameSplitter(type, body, descriptorCount);
        do
        {
            var packet = new byte[splitter.FrameBytes];
            Assert.Equal(packet.Length, splitter.Write(packet));
            packets.Add((packet, splitter.FrameDescriptorCount));
        }
        while (splitter.MoveNext());
        Assert.True(splitter.IsDone);
        return packets;
    }

    /// <summary>One frame, right or wrong.</summary>
    public static byte[] Frame(SocketMessageType type, bool isContinued, int statedDescriptors, params ReadOnlySpan<byte> body)
    {
        var packet = new byte[FrameHeader.ByteCount + body.Length];
        new FrameHeader(packet.Length, type, isContinued, statedDescriptors).Write(packet);
        body.CopyTo(packet.AsSpan(FrameHeader.ByteCount));
        return packet;
    }

    /// <summary>A number of descriptors that may come with that type.</summary>
    public static int DescriptorsFor(SocketMessageType type, int wanted) =>
        type.AllowsDescriptors(wanted) ? wanted : type.AllowsDescriptors(0) ? 0 : 1;
}
