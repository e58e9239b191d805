using System.Diagnostics;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Gpu.Tests.Sockets;

/// <summary>Threads that look before they sleep: they miss nothing, whether it comes while they look or later.</summary>
public sealed class BusyWaitTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(null, 2, 0)]
    [InlineData(null, 7, 0)]
    [InlineData(null, 8, 500)]
    [InlineData("0", 64, 0)]
    [InlineData("250", 2, 250)]
    [InlineData("10000", 8, 10_000)]
    [InlineData("10001", 8, 500)]
    [InlineData("-1", 8, 500)]
    [InlineData("soon", 2, 0)]
    [InlineData("", 8, 500)]
    public void Read_GoesByTheVariableThenByTheProcessors(string? text, int processors, int microseconds) =>
        Assert.Equal(TimeSpan.FromMicroseconds(microseconds), BusyWait.Read(text, processors));

    [Fact]
    public void GoesOn_EndsWithItsTime()
    {
        Assert.False(BusyWait.GoesOn(Stopwatch.GetTimestamp(), TimeSpan.Zero));
        Assert.True(BusyWait.GoesOn(Stopwatch.GetTimestamp(), TimeSpan.FromHours(1)));
        Assert.False(BusyWait.GoesOn(Stopwatch.GetTimestamp() - (2 * Stopwatch.Frequency), TimeSpan.FromSeconds(1)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3_600_000)]
    public async Task Loop_LookingForSoLong_HandlesWhatIsPostedAndWhatComes(int spinMilliseconds)
    {
        var (left, right) = UnixMessageChannel.CreatePair();
        using (left)
        using (right)
        using (var loop = new EpollLoop("test-loop", _ => { }, TimeSpan.FromMilliseconds(spinMilliseconds)))
        {
            var came = 0;
            var all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var added = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            loop.Post(() =>
            {
                loop.TryAdd(
                    right.Socket, Readiness.Readable,
                    ready =>
                    {
                        Assert.Equal(Readiness.Readable, ready);
                        while (right.TryReceive(new byte[10], out _, []) == ReceiveStatus.Message)
                        {
                            if (++came == 100)
                            {
                                all.SetResult();
                            }
                        }
                    },
                    out _);
                added.SetResult();
            });
            await added.Task.WaitAsync(Patience);
            for (var i = 0; i < 100; i++)
            {
                Assert.True(left.Send([1], default));
                if (i % 25 == 0)
                {
                    // Longer than the millisecond for which one of them looks.
                    await Task.Delay(5);
                }
            }

            await all.Task.WaitAsync(Patience);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3_600_000)]
    public async Task Receive_LookingForSoLong_GetsEveryMessageAndTheEnd(int spinMilliseconds)
    {
        var (left, right) = UnixMessageChannel.CreatePair();
        right.Spin = TimeSpan.FromMilliseconds(spinMilliseconds);
        var got = Task.Run(() =>
        {
            var bytes = new List<byte>();
            var buffer = new byte[4];
            while (right.Receive(buffer, out var length, []) == ReceiveStatus.Message)
            {
                bytes.AddRange(buffer.AsSpan(0, length));
            }

            return bytes;
        });
        for (byte i = 0; i < 50; i++)
        {
            Assert.True(left.Send([i], default));
            if (i == 20)
            {
                await Task.Delay(5);
            }
        }

        left.Dispose();
        Assert.Equal(Enumerable.Range(0, 50).Select(i => (byte)i), await got.WaitAsync(Patience));
        right.Dispose();
    }
}
