using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Kvcached.EngineProbe;
using Kvcached.TraceReplay.Chaos.Hosts;

namespace Kvcached.TraceReplay.Tests.Chaos;

/// <summary>Connections that are cut from below: both ends see their end, and no other connection does.</summary>
public sealed class ConnectionTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-cut-").FullName;

    [Fact]
    public async Task Cut_UnixSocket_EndsOnlyTheConnectionsToThatPath()
    {
        var (cut, cutServer) = await ConnectAsync(Path.Combine(_directory, "a.sock"));
        var (kept, keptServer) = await ConnectAsync(Path.Combine(_directory, "b.sock"));

        Assert.Equal(1, OwnConnections.Cut(Path.Combine(_directory, "a.sock")));

        Assert.Equal(0, await cutServer.ReceiveAsync(new byte[1]));
        Assert.Equal(0, await cut.ReceiveAsync(new byte[1]));
        Assert.Equal(1, await kept.SendAsync(new byte[1]));
        Assert.Equal(1, await keptServer.ReceiveAsync(new byte[1]));
        foreach (var socket in (Socket[])[cut, cutServer, kept, keptServer])
        {
            socket.Dispose();
        }
    }

    [SkippableFact]
    public async Task CutTcp_AnotherProcess_EndsTheConnectionsWithThatPort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var start = new ProcessStartInfo("/bin/bash") { RedirectStandardInput = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add($"exec 3<>/dev/tcp/127.0.0.1/{port}; read -r _");
        using var other = Process.Start(start)!;
        try
        {
            using var accepted = await listener.AcceptSocketAsync();
            Skip.IfNot(ConnectionCutter.IsPossibleFor(other.Id), "This process may not take copies of another's descriptors.");

            Assert.Equal(0, ConnectionCutter.CutTcp(other.Id, [port + 1]));
            Assert.Equal(1, ConnectionCutter.CutTcp(other.Id, [port]));

            Assert.Equal(0, await accepted.ReceiveAsync(new byte[1]));
            Assert.False(other.HasExited);
        }
        finally
        {
            other.Kill();
            await other.WaitForExitAsync();
        }
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static async Task<(Socket Client, Socket Server)> ConnectAsync(string path)
    {
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await client.ConnectAsync(new UnixDomainSocketEndPoint(path));
        return (client, await listener.AcceptAsync());
    }
}
