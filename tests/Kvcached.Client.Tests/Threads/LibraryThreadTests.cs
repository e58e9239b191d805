using System.Collections.Concurrent;
using Kvcached.Client.Threads;

namespace Kvcached.Client.Tests.Threads;

public sealed class LibraryThreadTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public void DoOrPost_NothingToDo_IsDoneByTheCallerWithTheUpkeepAfterIt()
    {
        using var begun = new ManualResetEventSlim();
        var upkept = new ConcurrentQueue<Thread>();
        var thread = new LibraryThread("test", () =>
        {
            upkept.Enqueue(Thread.CurrentThread);
            begun.Set();
            return TimeSpan.FromHours(1);
        });
        thread.Start();
        Assert.True(begun.Wait(Patience));
        var before = upkept.Count;

        // The thread says that it is at rest only by taking no turn, so the first try may still be posted.
        Thread? doneBy = null;
        Assert.True(SpinWait.SpinUntil(
            () =>
            {
                using var done = new ManualResetEventSlim();
                Assert.True(thread.DoOrPost(() =>
                {
                    Assert.True(thread.IsCurrent);
                    doneBy = Thread.CurrentThread;
                    done.Set();
                }));
                Assert.True(done.Wait(Patience));
                return doneBy == Thread.CurrentThread;
            },
            Patience));

        Assert.False(thread.IsCurrent);
        Assert.Contains(Thread.CurrentThread, upkept.Skip(before));
        thread.Stop();
    }

    [Fact]
    public void DoOrPost_ThreadIsBusy_IsDoneAfterWhatWasPosted()
    {
        using var isBusy = new ManualResetEventSlim();
        using var mayGoOn = new ManualResetEventSlim();
        using var isDone = new ManualResetEventSlim();
        var order = new ConcurrentQueue<int>();
        var thread = new LibraryThread("test", () => TimeSpan.FromHours(1));
        thread.Start();
        thread.Post(() =>
        {
            isBusy.Set();
            mayGoOn.Wait(Patience);
            order.Enqueue(1);
        });
        Assert.True(isBusy.Wait(Patience));

        thread.Post(() => order.Enqueue(2));
        Thread? doneBy = null;
        Assert.True(thread.DoOrPost(() =>
        {
            order.Enqueue(3);
            doneBy = Thread.CurrentThread;
            isDone.Set();
        }));
        Assert.Empty(order);

        mayGoOn.Set();
        Assert.True(isDone.Wait(Patience));
        Assert.Equal([1, 2, 3], order);
        Assert.NotEqual(Thread.CurrentThread, doneBy);
        thread.Stop();
    }

    [Fact]
    public void DoOrPost_CallerHasTheTurn_OthersWaitAndAreNotLost()
    {
        using var isBusy = new ManualResetEventSlim();
        using var mayGoOn = new ManualResetEventSlim();
        using var isDone = new ManualResetEventSlim();
        var thread = new LibraryThread("test", () => TimeSpan.FromHours(1));
        thread.Start();
        var isOver = false;
        var guest = new Thread(() => thread.DoOrPost(() =>
        {
            isBusy.Set();
            mayGoOn.Wait(Patience);
            isOver = true;
        }));
        guest.Start();
        Assert.True(isBusy.Wait(Patience));
        var sawOver = false;
        thread.Post(() =>
        {
            sawOver = isOver;
            isDone.Set();
        });

        mayGoOn.Set();
        Assert.True(isDone.Wait(Patience));
        Assert.True(sawOver);
        guest.Join();
        thread.Stop();
    }

    [Fact]
    public void DoOrPost_UpkeepAsksForAShorterPause_ThreadLooksAfterIt()
    {
        using var isLookedAfter = new ManualResetEventSlim();
        var isUrgent = false;
        Thread? caller = null;
        var thread = new LibraryThread("test", () =>
        {
            if (Volatile.Read(ref isUrgent) && Thread.CurrentThread != Volatile.Read(ref caller))
            {
                isLookedAfter.Set();
            }

            return Volatile.Read(ref isUrgent) ? TimeSpan.FromMilliseconds(1) : TimeSpan.FromDays(10);
        });
        thread.Start();
        Volatile.Write(ref caller, Thread.CurrentThread);
        Assert.True(thread.DoOrPost(() => Volatile.Write(ref isUrgent, true)));

        Assert.True(isLookedAfter.Wait(Patience));
        thread.Stop();
    }

    [Fact]
    public void DoOrPost_ManyThreads_OneAtATimeAndEachOnesOrderKept()
    {
        const int Producers = 4;
        const int Each = 5_000;
        var (running, most) = (0, 0);
        var seen = new List<int>[Producers];
        var thread = new LibraryThread("test", () => TimeSpan.FromMilliseconds(1));
        thread.Start();
        var producers = Enumerable.Range(0, Producers).Select(p => new Thread(() =>
        {
            seen[p] = [];
            for (var i = 0; i < Each; i++)
            {
                var number = i;
                void Act()
                {
                    most = Math.Max(most, Interlocked.Increment(ref running));
                    seen[p].Add(number);
                    Interlocked.Decrement(ref running);
                }

                Assert.True(number % 3 == 0 ? thread.Post(Act) : thread.DoOrPost(Act));
            }
        })).ToList();
        producers.ForEach(p => p.Start());
        producers.ForEach(p => p.Join());
        thread.Stop();

        Assert.Equal(1, most);
        Assert.All(seen, numbers => Assert.Equal(Enumerable.Range(0, Each), numbers));
    }

    [Fact]
    public void DoOrPost_ThrowingAction_LeavesTheTurnToOthers()
    {
        using var isDone = new ManualResetEventSlim();
        var thread = new LibraryThread("test", () => TimeSpan.FromHours(1));
        thread.Start();

        Assert.True(thread.DoOrPost(() => throw new InvalidOperationException("of the test")));
        Assert.True(thread.Post(isDone.Set));

        Assert.True(isDone.Wait(Patience));
        thread.Stop();
        Assert.False(thread.DoOrPost(() => { }));
    }
}
