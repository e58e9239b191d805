using System.Collections.Immutable;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;
using Kvcached.Gpu.Tests.Support;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Tests.Sockets;

public sealed class OutgoingMessagesTests : IDisposable
{
    private readonly UnixMessageChannel _left;
    private readonly UnixMessageChannel _right;

    public OutgoingMessagesTests() => (_left, _right) = UnixMessageChannel.CreatePair();

    [Fact]
    public void Flush_LargeMessagesWithManyDescriptors_ArriveWholeAndInOrder()
    {
        var before = OpenDescriptors.Count();
        using var outgoing = new OutgoingMessages(_left, 1 << 24, 100, 1000);
        var body = new byte[1 << 20];
        new Random(1).NextBytes(body);
        Assert.True(outgoing.TryAdd(SocketMessageType.Operate, body, Files(600)));
        Assert.True(outgoing.TryAdd(SocketMessageType.PoolGone, new byte[3], default));

        var assembler = new FrameAssembler();
        var received = new List<SafeFileHandle>();
        var buffer = new byte[SocketLimits.MaxFrameBytes];
        var messages = new List<(SocketMessageType Type, int Descriptors, bool IsRight)>();
        while (messages.Count < 2)
        {
            var sent = outgoing.Flush();
            Assert.True(sent is SendStatus.Sent or SendStatus.Full);
            while (_right.TryReceive(buffer, out var length, received) == ReceiveStatus.Message)
            {
                var brought = received.Count;
                received.ForEach(descriptor => descriptor.Dispose());
                received.Clear();
                if (assembler.Add(buffer.AsSpan(0, length), brought, out var arrived) == FrameStatus.Message)
                {
                    messages.Add((assembler.Type, assembler.DescriptorCount, arrived.Length == 3 || arrived.SequenceEqual(body)));
                }
            }
        }

        Assert.Equal([(SocketMessageType.Operate, 600, true), (SocketMessageType.PoolGone, 0, true)], messages);
        Assert.True(outgoing.IsEmpty);
        Assert.Equal(0, outgoing.WaitingBytes);
        Assert.Equal(before, OpenDescriptors.Count());
    }

    [Fact]
    public void TryAdd_OverALimit_IsRefusedAndClosesItsDescriptors()
    {
        var before = OpenDescriptors.Count();
        using var outgoing = new OutgoingMessages(_left, 100, 2, 3);

        Assert.False(outgoing.TryAdd(SocketMessageType.Operate, new byte[101], Files(1)));
        Assert.False(outgoing.TryAdd(SocketMessageType.Operate, new byte[1], Files(4)));
        Assert.True(outgoing.TryAdd(SocketMessageType.Operate, new byte[60], Files(2)));
        Assert.False(outgoing.TryAdd(SocketMessageType.Operate, new byte[41], Files(1)));
        Assert.False(outgoing.TryAdd(SocketMessageType.Operate, new byte[1], Files(2)));
        Assert.True(outgoing.TryAdd(SocketMessageType.Operate, new byte[40], Files(1)));
        Assert.False(outgoing.TryAdd(SocketMessageType.Operate, default, default));
        Assert.Equal(before + 3, OpenDescriptors.Count());

        Assert.Equal(SendStatus.Sent, outgoing.Flush());
        Assert.True(outgoing.TryAdd(SocketMessageType.Operate, new byte[100], Files(3)));

        outgoing.Dispose();
        Assert.False(outgoing.TryAdd(SocketMessageType.Operate, new byte[1], Files(1)));
        _right.Dispose();
        _left.Dispose();
        Assert.Equal(before - 2, OpenDescriptors.Count());
    }

    [Fact]
    public void Flush_OtherSideGone_SaysSo()
    {
        using var outgoing = new OutgoingMessages(_left, 100, 2, 3);
        _right.Dispose();
        outgoing.TryAdd(SocketMessageType.PoolGone, new byte[1], default);

        Assert.Equal(SendStatus.Closed, outgoing.Flush());
    }

    public void Dispose()
    {
        _left.Dispose();
        _right.Dispose();
    }

    private static ImmutableArray<SafeFileHandle> Files(int count) =>
        [.. Enumerable.Range(0, count).Select(_ => File.OpenHandle(typeof(OutgoingMessagesTests).Assembly.Location))];
}
