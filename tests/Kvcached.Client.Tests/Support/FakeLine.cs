using System.Collections.Immutable;
using Kvcached.Client.Lines;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Tests.Support;

/// <summary>A connection that keeps what was sent.</summary>
internal sealed class FakeLine : IEngineLine
{
    public List<object> Sent { get; } = [];

    public SocketProtocol.Welcome Host { get; } = new(1, new HostIncarnation(7), TestPool.Device, "default", "host", TestPool.PageBytes, "test");

    public void Start(Action<object, ImmutableArray<SafeFileHandle>> received, Action lost)
    {
        // The test says by itself what is received.
    }

    public bool Send(object message, ImmutableArray<SafeFileHandle> descriptors)
    {
        Sent.Add(message);
        return true;
    }

    public void Interrupt()
    {
        // Nothing blocks here.
    }

    public void Dispose()
    {
        // Nothing is held.
    }
}
