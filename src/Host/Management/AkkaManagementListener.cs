using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Http.Dsl;
using Akka.Management.Dsl;
using Ceen.Httpd;
using Kvcached.Host.Options;
using Kvcached.Host.Startup;

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

    /// <summary>Starts listening on loopback.</summary>
    /// <param name="system">The actor system.</param>
    /// <param name="wantedPort">The port; 0 takes a free one.</param>
    public static StartResult<AkkaManagementListener> Start(ActorSystem system, int wantedPort)
    {
        // The library tells neither which port it took nor that it could not have it, so that both are found out for it.
        int port;
        try
        {
            using var probe = new TcpListener(IPAddress.Loopback, wantedPort);
            probe.Start();
            port = ((IPEndPoint)probe.LocalEndpoint).Port;
        }
        catch (SocketException exception)
        {
            return new StartFailure(
                HostExitCode.PortInUse,
                $"{HostSettingCatalog.AkkaManagementPort}: port {wantedPort} can't be had ({exception.Message}); choose another, or 0 for a free one.");
        }

        var listener = new AkkaManagementListener(port);
        var config = new ServerConfig { Router = new AkkaRouter(system, AkkaManagement.Get(system).Routes()) };
        _ = HttpServer.ListenAsync(new IPEndPoint(IPAddress.Loopback, port), false, config, listener._stopping.Token);
        return listener;
    }

    public void Dispose()
    {
        _stopping.Cancel();
        _stopping.Dispose();
    }
}
