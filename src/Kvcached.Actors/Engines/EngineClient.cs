namespace Kvcached.Actors.Engines;

/// <summary>The engine's side of a session with a domain, over Akka.Remote.</summary>
public sealed partial class EngineClient
{
    /// <summary>Connects to the first host that answers and opens a session.</summary>
    /// <exception cref="EngineConnectException">No host answered, or the domain refused; the message says which and why.</exception>
    public static Task<IEngineClient> ConnectAsync(EngineClientOptions options, CancellationToken cancellation) =>
        throw new EngineConnectException("not connected");
}

/// <summary>No session could be opened.</summary>
public sealed class EngineConnectException(string message) : Exception(message);
