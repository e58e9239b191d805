using Kvcached.Core.Decisions;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Client.Lines;

/// <summary>Connects with the host behind a path.</summary>
internal sealed class SocketConnector(string path) : ILineConnector
{
    public IEngineLine? TryConnect(EngineRole role, TimeSpan timeout, out Refusal? refusal)
    {
        if (!UnixMessageChannel.TryConnect(path, timeout, out var channel, out var failure))
        {
            refusal = new Refusal(
                failure.Reason == ConnectFailureReason.NoPermission ? RefusalReason.NotAllowed : RefusalReason.HostUnreachable, failure.Text);
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
