using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Copier.Tests.Wire;

public sealed class UnixMessageChannelTests : IDisposable
{
    private readonly UnixMessageChannel _left;
    private readonly UnixMessageChannel _right;
    private readonly List<SafeFileHandle> _received = [];

    public UnixMessageChannelTests() => (_left, _right) = UnixMessageChannel.CreatePair();

    [Fact]
    public void Receive_MostDescriptors_AllArriveWithTheirMessage()
    {
        using var file = Opened();
        Assert.True(_left.Send([1, 2, 3], [.. Enumerable.Repeat(file, UnixMessageChannel.MaxDescriptors)]));
        Assert.True(_left.Send([4], [file]));

        var buffer = new byte[100];
        Assert.Equal(ReceiveStatus.Message, _right.Receive(buffer, out var length, _received));
        Assert.Equal([1, 2, 3], buffer[..length]);
        Assert.Equal(UnixMessageChannel.MaxDescriptors, _received.Count);
        Assert.Equal(ReceiveStatus.Message, _right.Receive(buffer, out length, _received));
        Assert.Equal([4], buffer[..length]);
        Assert.Equal(UnixMessageChannel.MaxDescriptors + 1, _received.Count);
        Assert.All(_received, d => Assert.True(RandomAccess.GetLength(d) > 0));
    }

    [Fact]
    public void Send_TooManyDescriptors_IsRefused()
    {
        using var file = Opened();
        Assert.Throws<ArgumentOutOfRangeException>(() => _left.Send([1], [.. Enumerable.Repeat(file, UnixMessageChannel.MaxDescriptors + 1)]));
    }

    [Fact]
    public void Receive_MessageLargerThanBuffer_IsTruncatedAndLeaksNoDescriptor()
    {
        using var file = Opened();
        var before = ProcessFacts.CountDescriptors(Environment.ProcessId);
        Assert.True(_left.Send(new byte[11], [file, file]));

        Assert.Equal(ReceiveStatus.Truncated, _right.Receive(new byte[10], out _, _received));

        Assert.Empty(_received);
        Assert.Equal(before, ProcessFacts.CountDescriptors(Environment.ProcessId));
    }

    [Fact]
    public async Task Receive_OtherSideCloses_Ends()
    {
        var waiting = Task.Factory.StartNew(
            () => _right.Receive(new byte[10], out _, _received), default, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        _left.Dispose();
        Assert.Equal(ReceiveStatus.Closed, await waiting);
        Assert.False(_right.Send([1], default));
    }

    [Fact]
    public async Task Receive_OwnSideShutsDown_Ends()
    {
        var waiting = Task.Factory.StartNew(
            () => _right.Receive(new byte[10], out _, _received), default, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        _right.Shutdown();
        Assert.Equal(ReceiveStatus.Closed, await waiting);
    }

    [Fact]
    public void Calls_AfterDispose_FailQuietly()
    {
        _left.Dispose();
        Assert.False(_left.Send([1], default));
        Assert.Equal(ReceiveStatus.Closed, _left.Receive(new byte[10], out _, _received));
        _left.Shutdown();
    }

    [Fact]
    public void Adopt_NotOpen_IsRefused() => Assert.Throws<IOException>(() => UnixMessageChannel.Adopt(new SafeFileHandle(99_999, ownsHandle: false)));

    public void Dispose()
    {
        _received.ForEach(d => d.Dispose());
        _left.Dispose();
        _right.Dispose();
    }

    private static SafeFileHandle Opened() => File.OpenHandle(typeof(UnixMessageChannelTests).Assembly.Location);
}
