namespace Kvcached.Actors.Engines;

/// <summary>No session could be opened; the message says with whom and why.</summary>
public sealed class EngineConnectException : Exception
{
    public EngineConnectException(string message)
        : base(message)
    {
    }

    public EngineConnectException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    public EngineConnectException()
    {
    }
}
