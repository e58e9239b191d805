using System.Collections.Concurrent;
using Kvcached.Client.Lines;
using Kvcached.Core.Decisions;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Client.Tests.Support;

/// <summary>Connects over real pairs of sockets, whose other ends are the test's, while the host is up.</summary>
internal sealed class PairConnector : ILineConnector
{
    private readonly BlockingCollection<HostConnection> _accepted = [];

    public volatile bool IsUp = true;

    public IEngineLine? TryConnect(EngineRole role, TimeSpan timeout, out Refusal? refusal)
    {
        refusal = new Refusal(RefusalReason.HostUnreachable, "The host is down.");
        if (!IsUp)
        {
            return null;
        }

        var (left, right) = UnixMessageChannel.CreatePair();
        var host = new HostConnection(right);
        var line = new SocketLine(left);
        refusal = line.Greet(role, TimeSpan.FromSeconds(30));
        if (refusal is not null)
        {
            line.Dispose();
            return null;
        }

        _accepted.Add(host);
        return line;
    }

    public HostConnection Accept() =>
        _accepted.TryTake(out var connection, TimeSpan.FromSeconds(30)) ? connection : throw new Xunit.Sdk.XunitException("Nobody connected.");
}
