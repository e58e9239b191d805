using System.Net.Sockets;
using Kvcached.Core.Decisions;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Copying;

namespace Kvcached.Client.Lines;

/// <summary>Connects with the host behind a path.</summary>
internal sealed class SocketConnector(string path) : ILineConnector
{
    public IEngineLine? TryConnect(EngineRole role, TimeSpan timeout, out Refusal? refusal)
    {
        UnixMessageChannel channel;
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
            socket.Connect(new UnixDomainSocketEndPoint(path));
            channel = UnixMessageChannel.Adopt(UnixMessageChannel.Duplicate(socket.SafeHandle));
        }
        catch (Exception problem) when (problem is SocketException or IOException or ArgumentException)
        {
            refusal = new Refusal(
                RefusalReason.HostUnreachable, $"No host can be reached at the socket '{path}': {problem.Message} See whether the host runs, and whether its path is this one.");
            return null;
        }

        var line = new SocketLine(channel);
        refusal = line.Greet(role, timeout);
        if (refusal is null)
        {
            return line;
        }

        line.Dispose();
        return null;
    }
}
