using System.Collections.Concurrent;
using Akka.Actor;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Dispatch;
using Kvcached.Actors.Hosting;

namespace Kvcached.Actors.Tests.Dispatch;

/// <summary>Whoever brings an actor a message may do its part, when the actor's own thread has nothing to do.</summary>
public sealed class GuestTurnSpecs() : TestKit(KvcachedHocon.Load("dispatchers"))
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public void Actor_at_rest_should_run_on_the_thread_of_its_guest_and_else_on_its_own()
    {
        var actor = StartActor(_ => { }, out var done);
        Assert.True(SpinWait.SpinUntil(
            () =>
            {
                GuestTurn.Tell(actor, 1, ActorRefs.NoSender);
                return Take(done) == Environment.CurrentManagedThreadId;
            },
            Patience));

        actor.Tell(2);
        var own = Take(done);
        Assert.NotEqual(Environment.CurrentManagedThreadId, own);
        actor.Tell(3);
        Assert.Equal(own, Take(done));
    }

    [Fact]
    public void Busy_actor_should_be_left_to_its_own_thread_and_its_guest_not_wait()
    {
        using var isBusy = new ManualResetEventSlim();
        using var mayGoOn = new ManualResetEventSlim();
        var actor = StartActor(
            message =>
            {
                if (message == 1)
                {
                    isBusy.Set();
                    mayGoOn.Wait(Patience);
                }
            },
            out var done);
        actor.Tell(1);
        Assert.True(isBusy.Wait(Patience));

        GuestTurn.Tell(actor, 2, ActorRefs.NoSender);

        Assert.True(done.IsEmpty);
        mayGoOn.Set();
        Assert.NotEqual(Environment.CurrentManagedThreadId, Take(done));
        Assert.NotEqual(Environment.CurrentManagedThreadId, Take(done));
    }

    [Fact]
    public void What_a_guest_tells_on_should_be_done_by_others()
    {
        var second = StartActor(_ => { }, out var secondDone);
        var first = StartActor(message => second.Tell(message), out var firstDone);
        for (var i = 0; i < 200; i++)
        {
            GuestTurn.Tell(first, i, ActorRefs.NoSender);
            Take(firstDone);
            Assert.NotEqual(Environment.CurrentManagedThreadId, Take(secondDone));
        }
    }

    [Fact]
    public async Task Guests_and_others_should_have_their_messages_taken_in_order_and_one_at_a_time()
    {
        const int Senders = 4;
        const int Each = 5_000;
        var (next, running, problems) = (new int[Senders], 0, new ConcurrentQueue<string>());
        var actor = StartActor(
            message =>
            {
                if (Interlocked.Increment(ref running) != 1)
                {
                    problems.Enqueue($"{message} came while another was dealt with");
                }

                var (sender, number) = (message / Each, message % Each);
                if (next[sender]++ != number)
                {
                    problems.Enqueue($"sender {sender}: {number} came out of turn");
                }

                Interlocked.Decrement(ref running);
            },
            out var done);
        await Task.WhenAll(Enumerable.Range(0, Senders).Select(sender => Task.Run(() =>
        {
            for (var i = 0; i < Each; i++)
            {
                if (sender % 2 == 0)
                {
                    GuestTurn.Tell(actor, (sender * Each) + i, ActorRefs.NoSender);
                }
                else
                {
                    actor.Tell((sender * Each) + i);
                }
            }
        })));

        Assert.True(SpinWait.SpinUntil(() => done.Count == Senders * Each, Patience));
        Assert.Empty(problems);
    }

    [Fact]
    public void Actor_that_fails_under_a_guest_should_be_dealt_with_by_its_supervisor_as_ever()
    {
        var actor = StartActor(message => _ = message == 1 ? throw new InvalidOperationException("of the test") : message, out var done);
        EventFilter.Exception<InvalidOperationException>().ExpectOne(() => GuestTurn.Tell(actor, 1, ActorRefs.NoSender));
        GuestTurn.Tell(actor, 2, ActorRefs.NoSender);
        Take(done);
    }

    private IActorRef StartActor(Action<int> act, out ConcurrentQueue<int> done)
    {
        var threads = done = new ConcurrentQueue<int>();
        return Sys.ActorOf(Props.Create(() => new Doer(act, threads)).WithDispatcher(KvcachedHocon.CoordinatorDispatcher));
    }

    private static int Take(ConcurrentQueue<int> done)
    {
        var thread = 0;
        Assert.True(SpinWait.SpinUntil(() => done.TryDequeue(out thread), Patience));
        return thread;
    }

    private sealed class Doer(Action<int> act, ConcurrentQueue<int> done) : UntypedActor
    {
        protected override void OnReceive(object message)
        {
            act((int)message);
            done.Enqueue(Environment.CurrentManagedThreadId);
        }
    }
}
