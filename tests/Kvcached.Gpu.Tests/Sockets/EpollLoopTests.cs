using Kvcached.Gpu.Sockets;
using Kvcached.Gpu.Tests.Support;

namespace Kvcached.Gpu.Tests.Sockets;

public sealed class EpollLoopTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Post_FromManyThreads_RunsEachOnceOnTheLoopsThread()
    {
        var faults = new List<Exception>();
        var ran = 0;
        using (var loop = new EpollLoop("test-loop", faults.Add))
        {
            await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
            {
                for (var i = 0; i < 1000; i++)
                {
                    loop.Post(() => ran += loop.IsCurrent ? 1 : 1_000_000);
                }
            })));
        }

        Assert.Empty(faults);
        Assert.Equal(8000, ran);
    }

    [Fact]
    public async Task Handler_ReadableAndWritable_IsCalledAndThenNotAnyMore()
    {
        using var loop = new EpollLoop("test-loop", _ => { });
        var (left, right) = UnixMessageChannel.CreatePair();
        using (left)
        using (right)
        {
            var happened = new TaskCompletionSource<Readiness>(TaskCreationOptions.RunContinuationsAsynchronously);
            var writable = new TaskCompletionSource<Readiness>(TaskCreationOptions.RunContinuationsAsynchronously);
            var calls = 0;
            long token = 0;
            loop.Post(() => loop.TryAdd(
                right.Socket, Readiness.Readable,
                ready =>
                {
                    calls++;
                    if (happened.TrySetResult(ready))
                    {
                        right.TryReceive(new byte[10], out _, []);
                        loop.Change(token, right.Socket, Readiness.Writable);
                        return;
                    }

                    loop.Remove(token, right.Socket);
                    writable.TrySetResult(ready);
                },
                out token));
            left.Send([1], default);

            Assert.Equal(Readiness.Readable, await happened.Task.WaitAsync(Patience));
            Assert.Equal(Readiness.Writable, await writable.Task.WaitAsync(Patience));
            left.Send([1], default);
            await RunTurnAsync(loop);
            await RunTurnAsync(loop);
            Assert.Equal(2, calls);
        }
    }

    [Fact]
    public async Task Handler_ThatThrows_IsReportedAndTheLoopGoesOn()
    {
        var fault = new TaskCompletionSource<Exception>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var loop = new EpollLoop("test-loop", exception => fault.TrySetResult(exception));
        loop.Post(() => throw new InvalidOperationException("on purpose"));

        Assert.Equal("on purpose", (await fault.Task.WaitAsync(Patience)).Message);
        await RunTurnAsync(loop);
    }

    [Fact]
    public async Task TryAdd_WhatCannotBeWatched_IsRefused()
    {
        using var loop = new EpollLoop("test-loop", _ => { });
        using var file = File.OpenHandle(typeof(EpollLoopTests).Assembly.Location);
        var isAdded = new TaskCompletionSource<bool>();
        loop.Post(() => isAdded.SetResult(loop.TryAdd(file, Readiness.Readable, _ => { }, out _)));

        Assert.False(await isAdded.Task.WaitAsync(Patience));
    }

    [Fact]
    public void Dispose_AndMakeAgain_LeaksNoDescriptor()
    {
        new EpollLoop("test-loop", _ => { }).Dispose();
        var before = OpenDescriptors.Count();
        for (var i = 0; i < 20; i++)
        {
            var loop = new EpollLoop("test-loop", _ => { });
            loop.Dispose();
            loop.Post(() => { });
        }

        Assert.Equal(before, OpenDescriptors.Count());
    }

    private static Task RunTurnAsync(EpollLoop loop)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        loop.Post(done.SetResult);
        return done.Task.WaitAsync(Patience);
    }
}
