using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Http.Dsl;
using Akka.Management.Dsl;
using Ceen.Httpd;
using Kvcached.Host.Options;

namespace Kvcached.Host.Management;

/// <summary>
/// Serves Akka.Management's own routes on a port of their own, for tools that expect them. Its own server can't be started: it calls a
/// method that the HTTP library it comes with no longer has in the version that restores, and a failed start takes the actor
/// system down. So its routes are taken from the extension and given to that library directly.
/// </summary>
internal sealed class AkkaManagementListener : IDisposable
{
    private readonly CancellationTokenSource _stopping = new();

    private AkkaManagementListener(int port) => Port = port;

    public int Port { get; }

    /// <summary>Starts listening on loopback; null when the options don't ask for it.</summary>
    public static AkkaManagementListener? Start(ActorSystem system, KvcachedHostOptions options)
    {
        if (options.AkkaManagementPort is not { } wantedPort)
        {
            return null;
        }

        var listener = new AkkaManagementListener(wantedPort == 0 ? FindFreePort() : wantedPort);
        var config = new ServerConfig { Router = new AkkaRouter(system, AkkaManagement.Get(system).Routes()) };
        _ = HttpServer.ListenAsync(new IPEndPoint(IPAddress.Loopback, listener.Port), false, config, listener._stopping.Token);
        return listener;
    }

    public void Dispose()
    {
        _stopping.Cancel();
        _stopping.Dispose();
    }

    // The library doesn't tell which port it took, so that one is found for it.
    private static int FindFreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }
}
