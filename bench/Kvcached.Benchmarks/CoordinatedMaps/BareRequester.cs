using Akka.Actor;
using Akka.Configuration;
using Kvcached.Actors.Hosting;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>The engine's side of a bare broadcast: an actor system of its own, and one actor that sends and waits, as an engine's session does.</summary>
internal sealed class BareRequester : IAsyncDisposable
{
    private readonly ActorSystem _system;
    private readonly IActorRef _session;
    private readonly SessionId _id = SessionId.New();
    private long _lastRequest;

    private BareRequester(ActorSystem system, IActorRef session) => (_system, _session) = (system, session);

    public static async Task<BareRequester> ConnectAsync(string host)
    {
        var system = ActorSystem.Create("bench", ConfigurationFactory.ParseString("""
            akka.actor.provider = remote
            akka.remote.dot-netty.tcp { hostname = 127.0.0.1, port = 0 }
            akka.loglevel = WARNING
            """).WithFallback(KvcachedHocon.Load("serialization")).WithFallback(KvcachedHocon.Load("remote")));
        var broadcast = await system.ActorSelection($"akka.tcp://{KvcachedNames.ActorSystem}@{host}/user/{BareBroadcast.Name}")
            .ResolveOne(TimeSpan.FromSeconds(20)).ConfigureAwait(false);
        return new BareRequester(system, system.ActorOf(Props.Create(() => new Session(broadcast)), "session"));
    }

    /// <summary>One broadcast, and as many more right after it.</summary>
    public Task RequestAsync(int pageCount, int repetitions)
    {
        var request = new EngineProtocol.AllocatePages(
            _id, new RequestId(++_lastRequest), new RequestId(_lastRequest - 1), PoolId.Create(1, 1), repetitions, pageCount, TimeSpan.FromSeconds(10));
        var answer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _session.Tell(new Submit(request, answer));
        return answer.Task.WaitAsync(TimeSpan.FromSeconds(30));
    }

    public async ValueTask DisposeAsync() => await _system.Terminate().ConfigureAwait(false);

    private sealed record Submit(EngineProtocol.AllocatePages Request, TaskCompletionSource Answer) : INoSerializationVerificationNeeded;

    private sealed class Session(IActorRef broadcast) : UntypedActor
    {
        private TaskCompletionSource? _answer;

        protected override void OnReceive(object message)
        {
            if (message is Submit submit)
            {
                _answer = submit.Answer;
                broadcast.Tell(submit.Request, Self);
            }
            else if (message is EngineProtocol.PagesAllocated)
            {
                _answer?.TrySetResult();
            }
        }
    }
}
