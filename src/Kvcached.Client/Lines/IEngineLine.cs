using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Lines;

/// <summary>A connection with a host on which the conversation has begun.</summary>
internal interface IEngineLine : IDisposable
{
    /// <summary>What the host said of itself.</summary>
    SocketProtocol.Welcome Host { get; }

    /// <summary>
    /// Begins to receive, on a thread of the line's own. Descriptors that come are the receiver's.
    /// </summary>
    /// <param name="received">Gets every message, in order.</param>
    /// <param name="lost">Called once, last, when the connection has ended, whoever ended it.</param>
    void Start(Action<object, ImmutableArray<SafeFileHandle>> received, Action lost);

    /// <summary>Sends a message; may block while the host doesn't read. The descriptors stay the caller's. False when the connection is gone.</summary>
    bool Send(object message, ImmutableArray<SafeFileHandle> descriptors);

    /// <summary>Ends the connection, so that whatever blocks on it returns. Any thread may.</summary>
    void Interrupt();
}

/// <summary>Makes connections.</summary>
internal interface ILineConnector
{
    /// <summary>A new connection, or why there is none.</summary>
    IEngineLine? TryConnect(EngineRole role, TimeSpan timeout, out Refusal? refusal);
}
