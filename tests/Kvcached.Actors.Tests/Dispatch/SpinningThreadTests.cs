using Akka.Dispatch;
using Kvcached.Actors.Dispatch;

namespace Kvcached.Actors.Tests.Dispatch;

public sealed class SpinningThreadTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(0)]
    [InlineData(200)]
    public async Task Execute_OneAfterTheOther_EachIsRunHoweverTheThreadWaits(int spinMicroseconds)
    {
        var thread = new SpinningThread("spin-test", TimeSpan.FromMicroseconds(spinMicroseconds), _ => { });
        var threads = new HashSet<string?>();
        for (var i = 0; i < 2_000; i++)
        {
            var done = NewSignal();
            thread.Execute(new Work(() =>
            {
                threads.Add(Thread.CurrentThread.Name);
                done.SetResult();
            }));
            await done.Task.WaitAsync(Patience);
        }

        thread.Shutdown();
        Assert.Equal("spin-test", Assert.Single(threads));
    }

    [Fact]
    public async Task Execute_OutOfWork_SleepsAndIsWoken()
    {
        var thread = new SpinningThread("spin-test", TimeSpan.FromMicroseconds(50), _ => { });
        for (var i = 0; i < 50; i++)
        {
            Assert.True(SpinWait.SpinUntil(() => thread.IsAsleep, Patience));
            var done = NewSignal();
            thread.Execute(new Work(done.SetResult));
            await done.Task.WaitAsync(Patience);
        }

        thread.Shutdown();
    }

    [Fact]
    public async Task Execute_FromSeveralThreads_RunsAllOfEachInOrder()
    {
        const int senders = 4;
        const int each = 5_000;
        var thread = new SpinningThread("spin-test", TimeSpan.FromMicroseconds(20), _ => { });
        var (next, isInOrder, count) = (new int[senders], true, 0);
        var done = NewSignal();
        await Task.WhenAll(Enumerable.Range(0, senders).Select(sender => Task.Run(() =>
        {
            for (var i = 0; i < each; i++)
            {
                var number = i;
                thread.Execute(new Work(() =>
                {
                    isInOrder &= next[sender]++ == number;
                    if (++count == senders * each)
                    {
                        done.SetResult();
                    }
                }));
            }
        })));
        await done.Task.WaitAsync(Patience);
        thread.Shutdown();
        Assert.True(isInOrder);
    }

    [Fact]
    public async Task Execute_WorkThrows_IsReportedAndTheThreadGoesOn()
    {
        var reported = new TaskCompletionSource<Exception>(TaskCreationOptions.RunContinuationsAsynchronously);
        var done = NewSignal();
        var thread = new SpinningThread("spin-test", TimeSpan.Zero, reported.SetResult);
        thread.Execute(new Work(() => throw new InvalidOperationException("no")));
        thread.Execute(new Work(done.SetResult));
        await done.Task.WaitAsync(Patience);
        Assert.Equal("no", (await reported.Task.WaitAsync(Patience)).Message);
        thread.Shutdown();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100_000)]
    public async Task Shutdown_WorkIsQueued_IsDoneFirstAndNoMoreIsTaken(int spinMicroseconds)
    {
        var thread = new SpinningThread("spin-test", TimeSpan.FromMicroseconds(spinMicroseconds), _ => { });
        var (holds, mayGoOn, done, ended) = (NewSignal(), new ManualResetEventSlim(), NewSignal(), new TaskCompletionSource<Thread>(TaskCreationOptions.RunContinuationsAsynchronously));
        thread.Execute(new Work(() =>
        {
            ended.SetResult(Thread.CurrentThread);
            holds.SetResult();
            mayGoOn.Wait(Patience);
        }));
        await holds.Task.WaitAsync(Patience);
        thread.Execute(new Work(done.SetResult));
        thread.Shutdown();
        Assert.Throws<RejectedExecutionException>(() => thread.Execute(new Work(() => { })));
        mayGoOn.Set();
        await done.Task.WaitAsync(Patience);
        Assert.True((await ended.Task).Join(Patience));
    }

    [Fact]
    public async Task Shutdown_ThreadSleeps_Ends()
    {
        var (thread, name) = (new SpinningThread("spin-test", TimeSpan.Zero, _ => { }), new TaskCompletionSource<Thread>(TaskCreationOptions.RunContinuationsAsynchronously));
        thread.Execute(new Work(() => name.SetResult(Thread.CurrentThread)));
        var ran = await name.Task.WaitAsync(Patience);
        Assert.True(SpinWait.SpinUntil(() => thread.IsAsleep, Patience));
        thread.Shutdown();
        Assert.True(ran.Join(Patience));
    }

    /// <summary>Whoever awaits it goes on elsewhere, not on the thread under test.</summary>
    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private sealed class Work(Action action) : IRunnable
    {
        public void Run() => action();

        public void Execute() => action();

    }
}
