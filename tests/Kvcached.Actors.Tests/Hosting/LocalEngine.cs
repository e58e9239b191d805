using System.Threading.Channels;
using Akka.Actor;
using Akka.Hosting;
using Kvcached.Actors.Coordination;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Hosting;

/// <summary>An engine that talks to the coordinator by a host's actor system, as its socket gateway does, and may go on by another host's.</summary>
internal sealed class LocalEngine(string name)
{
    private static readonly TimeSpan ResendAfter = TimeSpan.FromMilliseconds(500);

    private readonly Channel<EngineProtocol.IMessage> _heard = Channel.CreateUnbounded<EngineProtocol.IMessage>();
    private IActorRef _coordinator = ActorRefs.Nobody;
    private IActorRef _ear = ActorRefs.Nobody;
    private long _lastRequest;

    public SessionId Session { get; } = SessionId.New();

    /// <summary>From now on it speaks by that host.</summary>
    public void Use(InProcessHost host)
    {
        _coordinator = ActorRegistry.For(host.System).Get<CoordinatorProxy>();
        _ear = host.System.ActorOf(Akka.Actor.Props.Create(() => new Ear(_heard.Writer)));
    }

    /// <summary>The same; false when that host's actors are about to end.</summary>
    public bool TryUse(InProcessHost host)
    {
        try
        {
            Use(host);
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>Asks again and again under one request id; null when nobody answers in that time.</summary>
    public async Task<EngineProtocol.IReply?> AskAsync(Func<RequestId, EngineProtocol.IRequest> make, TimeSpan patience)
    {
        var request = make(new RequestId(++_lastRequest));
        for (var end = TimeProvider.System.GetTimestamp() + (long)(patience.TotalSeconds * TimeProvider.System.TimestampFrequency); TimeProvider.System.GetTimestamp() < end;)
        {
            _coordinator.Tell(new EngineProtocol.OpenSession(Session, name, "test"), _ear);
            _coordinator.Tell(request, _ear);
            using var pause = new CancellationTokenSource(ResendAfter);
            try
            {
                while (true)
                {
                    if (await _heard.Reader.ReadAsync(pause.Token) is EngineProtocol.IReply reply && reply.Request == request.Request)
                    {
                        return reply;
                    }
                }
            }
            catch (OperationCanceledException)
            {
                // Messages may be lost: it is sent again.
            }
        }

        return null;
    }

    private sealed class Ear(ChannelWriter<EngineProtocol.IMessage> heard) : UntypedActor
    {
        protected override void OnReceive(object message)
        {
            if (message is EngineProtocol.IMessage heardNow)
            {
                heard.TryWrite(heardNow);
            }
        }
    }
}
