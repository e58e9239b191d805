using System.Collections.Immutable;
using Akka.Actor;
using Akka.Configuration;
using Kvcached.Actors.Hosting;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;

namespace Kvcached.Actors.Engines;

/// <summary>The engine's side of a session with a domain, over Akka.Remote.</summary>
public sealed class EngineClient : IEngineClient
{
    private readonly ActorSystem _system;
    private readonly EngineSessionHandle _session;
    private readonly TimeProvider _time;

    private EngineClient(ActorSystem system, EngineSessionHandle session, TimeProvider time)
    {
        _system = system;
        _session = session;
        _time = time;
    }

    /// <summary>Connects to the first host that answers and opens a session.</summary>
    /// <exception cref="EngineConnectException">No host answered, or the domain refused; the message says which and why.</exception>
    public static async Task<IEngineClient> ConnectAsync(EngineClientOptions options, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Hosts.IsDefaultOrEmpty)
        {
            throw new EngineConnectException("No hosts were named; give at least one as host:port.");
        }

        var config = ConfigurationFactory.ParseString("""
            akka.actor.provider = remote
            akka.remote.dot-netty.tcp { hostname = 127.0.0.1, port = 0 }
            akka.loglevel = WARNING
            """).WithFallback(KvcachedHocon.Load("serialization")).WithFallback(KvcachedHocon.Load("remote"));
        var system = ActorSystem.Create("kvcached-engine", config);
        var opened = new TaskCompletionSource<Refusal?>(TaskCreationOptions.RunContinuationsAsynchronously);
        var session = system.ActorOf(EngineSession.Props(options, opened, TimeProvider.System), "session");
        string problem;
        try
        {
            var refusal = await opened.Task.WaitAsync(options.ConnectTimeout, cancellation).ConfigureAwait(false);
            if (refusal is null)
            {
                return new EngineClient(system, new EngineSessionHandle(system, session), TimeProvider.System);
            }

            problem = $"Domain '{options.Domain}' refused engine '{options.EngineName}': {refusal}";
        }
        catch (TimeoutException)
        {
            problem = $"No host of domain '{options.Domain}' answered engine '{options.EngineName}' within {options.ConnectTimeout.TotalSeconds:0.#} s. "
                + await WhyNobodyAnsweredAsync(options.Hosts).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            await system.Terminate().ConfigureAwait(false);
            throw;
        }

        await system.Terminate().ConfigureAwait(false);
        throw new EngineConnectException(problem);
    }

    private static async Task<string> WhyNobodyAnsweredAsync(ImmutableArray<string> hosts)
    {
        var secured = await TlsProbe.FindAsync(hosts).ConfigureAwait(false);
        return secured.IsEmpty
            ? $"Tried {string.Join(", ", hosts)}; see that they run and that their /ready says yes."
            : $"{string.Join(", ", secured)} takes connections by mutual TLS from hosts only. Engines of that machine use the host's Unix socket, with the library for .NET (Kvcached.Client), Python or C.";
    }

    public async Task<EngineResult<IEnginePool>> OpenPoolAsync(PoolSpec spec, CancellationToken cancellation)
    {
        var reply = await _session.RequestAsync(
            (session, request, acked) => new EngineProtocol.OpenPool(session, request, acked, spec),
            TimeSpan.FromSeconds(60), cancellation).ConfigureAwait(false);
        switch (reply)
        {
            case EngineProtocol.PoolOpened opened:
                var pool = new EnginePool(opened.Pool, spec, opened.Extents, _session, _time);
                _session.Attach(pool);
                return new EngineResult<IEnginePool>(pool, null);
            case EngineProtocol.RequestRefused refused:
                return refused.Refusal;
            default:
                return new Refusal(RefusalReason.NotSupported, $"The coordinator answered with {reply.GetType().Name}, which doesn't fit the request.");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _session.CloseAsync(TimeSpan.FromSeconds(5)).ConfigureAwait(false);
        await _system.Terminate().ConfigureAwait(false);
    }
}
