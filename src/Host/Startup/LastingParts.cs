using Akka.Actor;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Contracts;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Pools;
using Kvcached.Host.Gateway;
using Kvcached.Host.Management;
using Kvcached.Host.Options;
using Kvcached.Host.Peers;

namespace Kvcached.Host.Startup;

/// <summary>The ports of one life of a host.</summary>
/// <param name="Cluster">Of Akka.Remote.</param>
/// <param name="Management">Of the management HTTP.</param>
/// <param name="AkkaManagement">Of Akka.Management's own routes; null = not served.</param>
internal sealed record HostPorts(int Cluster, int Management, int? AkkaManagement);

/// <summary>
/// What a host keeps while its actors end and begin anew: the rank's memory with what is known of it, the connections of engines, and who else was in the
/// cluster.
/// </summary>
internal sealed class LastingParts(PagePool pages, ManagementToken token) : IDisposable
{
    private readonly LastingSessions _sessions = new();
    private SocketGateway? _gateway;
    private bool _hasSaidReady;

    public RankState Rank { get; } = new(pages);

    public KnownPeers Peers { get; } = new();

    /// <summary>What changes through the management HTTP need; the same for all lives, so that callers needn't read it again.</summary>
    public ManagementToken Token { get; } = token;

    /// <summary>Finds out who held memory of the host before this one, if it was killed.</summary>
    /// <returns>Why the host must not start, or null.</returns>
    public string? Recover(KvcachedHostOptions options)
    {
        if (Rank.Policies.Keep(PolicyFile.In(options.Ranks.RunDirectory, options.Ranks.Domain, pages.Gpu)) is { } unreadable)
        {
            HostProcess.Complain(unreadable);
        }

        var holders = AttachedProcessFile.In(options.Ranks.RunDirectory, options.Ranks.Domain, pages.Gpu);
        var sentences = Rank.Recover(holders, options.Ranks.ReattachWindow, TimeProvider.System, out var problem);
        foreach (var said in sentences)
        {
            HostProcess.Complain(said);
        }

        if (Rank.Awaited is { } awaited)
        {
            HostProcess.Complain($"{pages.Gpu} was lent by a host that was killed; waiting until these hand over what they hold, or end: {awaited}.");
        }

        return problem;
    }

    /// <summary>Engines are served by that system from now on; the first time their socket is opened.</summary>
    /// <returns>Why it can't be, or null.</returns>
    public StartFailure? Serve(KvcachedHostOptions options, ActorSystem system, IActorRef coordinator, ILogger<SocketGateway> log)
    {
        Peers.Follow(system);
        system.ActorOf(Props.Create<PeerWatcher>(PeerNotes.In(options.Ranks.RunDirectory, options.Ranks.Domain)), "peer-watcher");
        _sessions.Use(system, coordinator);
        if (_gateway is not null)
        {
            return null;
        }

        var ranks = options.Ranks;
        var path = options.Gateway.SocketPath ?? GatewaySocket.DefaultPath(ranks.RunDirectory, pages.Gpu, ranks.Domain, new KvcachedHostOptions().Ranks.Domain);
        if (GatewaySocket.Open(path, options.Gateway).IsFailed(out var failure, out var socket))
        {
            return failure;
        }

        _gateway = new SocketGateway(
            socket, options.Gateway,
            new SocketProtocol.Welcome(
                SocketLimits.ProtocolVersion, pages.Incarnation, pages.Gpu, ranks.Domain, pages.Backend, pages.GranularityBytes, $"kvcached-host {HelpText.Version}"),
            Rank.Workers, _sessions, ranks.ReopenWindow, TimeProvider.System, log,
            tagDirectory: TagPlaces.DirectoryOf(ranks.RunDirectory, ranks.Domain));
        return null;
    }

    /// <summary>The actor system ends; engines stay connected.</summary>
    public void Pause() => _sessions.Release();

    /// <summary>Tells whoever started the host, once, where it can be reached.</summary>
    public void SayReady(string domain, HostPorts ports)
    {
        if (!_hasSaidReady)
        {
            _hasSaidReady = true;
            Console.Out.WriteLine(ReadyLine.Write(new ReadyEvent(
                ReadyLine.EventName, pages.Gpu.Value, domain, ports.Cluster, ports.Management, ports.AkkaManagement, Environment.ProcessId, pages.Backend,
                pages.CapacityBytes, _gateway!.Path)
            {
                TokenFile = Token.Path,
            }));
        }
    }

    public void Dispose()
    {
        _gateway?.Dispose();
        Token.Dispose();
    }
}
