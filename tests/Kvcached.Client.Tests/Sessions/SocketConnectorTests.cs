using System.Net.Sockets;
using Kvcached.Client.Lines;
using Kvcached.Client.Tests.Support;
using Kvcached.Core.Decisions;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Client.Tests.Sessions;

/// <summary>A socket with a path, as hosts have one.</summary>
public sealed class SocketConnectorTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kvc").FullName;

    private string SocketPath => Path.Combine(_directory, "engine.sock");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task TryConnect_HostListens_GreetsWithVersionRoleAndProcess()
    {
        using var listener = Listen();
        var connecting = Task.Run(() => (Line: new SocketConnector(SocketPath).TryConnect(EngineRole.Worker, TimeSpan.FromSeconds(30), out var refusal), refusal));
        using var accepted = await listener.AcceptAsync();
        using var host = new HostConnection(UnixMessageChannel.Adopt(UnixMessageChannel.Duplicate(accepted.SafeHandle)));
        var (line, refusal) = await connecting;
        Assert.Null(refusal);
        using (line)
        {
            Assert.Equal("host", line!.Host.Backend);
            Assert.Equal((1, EngineRole.Worker, Environment.ProcessId), (host.Hello!.HighestVersion, host.Hello.Role, host.Hello.ProcessId));
        }
    }

    [Fact]
    public void TryConnect_HostSaysNothing_IsRefusedInTime()
    {
        using var listener = Listen();
        Assert.Null(new SocketConnector(SocketPath).TryConnect(EngineRole.Scheduler, TimeSpan.FromMilliseconds(20), out var refusal));
        Assert.Equal(RefusalReason.HostUnreachable, refusal?.Reason);
    }

    [Fact]
    public void TryConnect_NobodyListens_IsRefusedWithThePath()
    {
        Assert.Null(new SocketConnector(SocketPath).TryConnect(EngineRole.Scheduler, TimeSpan.FromSeconds(1), out var refusal));
        Assert.Equal(RefusalReason.HostUnreachable, refusal?.Reason);
        Assert.Contains(SocketPath, refusal!.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void TryConnect_PathTooLong_IsRefusedInsteadOfThrowing()
    {
        Assert.Null(new SocketConnector("/" + new string('x', 300)).TryConnect(EngineRole.Scheduler, TimeSpan.FromSeconds(1), out var refusal));
        Assert.Equal(RefusalReason.HostUnreachable, refusal?.Reason);
    }

    private Socket Listen()
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(SocketPath));
        listener.Listen();
        return listener;
    }
}
