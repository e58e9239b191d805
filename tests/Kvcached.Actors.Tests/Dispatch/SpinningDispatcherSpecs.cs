using Akka.Actor;
using Akka.Configuration;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Dispatch;
using Kvcached.Actors.Hosting;

namespace Kvcached.Actors.Tests.Dispatch;

public sealed class SpinningDispatcherSpecs() : TestKit(KvcachedHocon.Load("dispatchers"))
{
    [Fact]
    public void Each_actor_should_keep_a_thread_of_its_own()
    {
        var first = Sys.ActorOf(Props.Create(() => new ThreadTeller()).WithDispatcher(KvcachedHocon.GpuPinnedDispatcher));
        var second = Sys.ActorOf(Props.Create(() => new ThreadTeller()).WithDispatcher(KvcachedHocon.GpuPinnedDispatcher));
        var threads = new List<int>();
        for (var i = 0; i < 200; i++)
        {
            first.Tell(i, TestActor);
            second.Tell(i, TestActor);
            threads.Add(ExpectMsg<(IActorRef Actor, int Thread)>().Thread);
            threads.Add(ExpectMsg<(IActorRef Actor, int Thread)>().Thread);
        }

        Assert.Equal(2, threads.Distinct().Count());
    }

    [Fact]
    public void Actor_should_run_again_when_it_is_started_after_another_ended()
    {
        for (var i = 0; i < 5; i++)
        {
            var actor = Watch(Sys.ActorOf(Props.Create(() => new ThreadTeller()).WithDispatcher(KvcachedHocon.GpuPinnedDispatcher)));
            actor.Tell(i, TestActor);
            Assert.Equal(actor, ExpectMsg<(IActorRef Actor, int Thread)>().Actor);
            Sys.Stop(actor);
            ExpectTerminated(actor);
        }
    }

    [Theory]
    [InlineData("spin = 1 ms, spin-min-processors = 8", 8, 1_000)]
    [InlineData("spin = 1 ms, spin-min-processors = 8", 7, 0)]
    [InlineData("spin = 0.05 ms", 1, 50)]
    [InlineData("spin = 0", 64, 0)]
    [InlineData("", 64, 0)]
    public void Spin_should_be_as_configured_when_there_are_processors_enough(string text, int processorCount, int expectedMicroseconds) =>
        Assert.Equal(TimeSpan.FromMicroseconds(expectedMicroseconds), SpinningDispatcherConfigurator.ReadSpin(ConfigurationFactory.ParseString(text), processorCount));

    [Theory]
    [InlineData("id = a.b, spin = 2 s", "a.b: spin is 2 s")]
    [InlineData("id = a.b, spin = soon", "a.b: spin is soon")]
    [InlineData("id = a.b, spin = -1 ms", "a.b: spin is -1 ms")]
    [InlineData("id = a.b, spin-min-processors = 0", "a.b: spin-min-processors is 0")]
    public void Spin_should_be_refused_when_out_of_range(string text, string expected) => Assert.Contains(
        expected,
        Assert.Throws<ConfigurationException>(() => SpinningDispatcherConfigurator.ReadSpin(ConfigurationFactory.ParseString(text), 8)).Message,
        StringComparison.Ordinal);

    private sealed class ThreadTeller : UntypedActor
    {
        protected override void OnReceive(object message) => Sender.Tell((Self, Environment.CurrentManagedThreadId));
    }
}
