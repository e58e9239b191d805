namespace Kvcached.Client;

/// <summary>How an engine's scheduler reaches its domain.</summary>
public sealed record KvSessionOptions
{
    /// <summary>Path of the Unix socket of any host of the domain on this machine.</summary>
    public required string SocketPath { get; init; }

    /// <summary>Name of the engine, for people; 1 to 64 characters.</summary>
    public required string EngineName { get; init; }

    /// <summary>The domain to reach. Default <c>default</c>.</summary>
    public string Domain { get; init; } = "default";

    /// <summary>How long <see cref="KvSession.Open(KvSessionOptions)"/> may take. Default 30 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Pause between two attempts to reach the socket. Default 100 ms.</summary>
    public TimeSpan ReconnectInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>A request without an answer is sent again, under its id, soon at first and at last after this long. Default 2 s.</summary>
    public TimeSpan ResendAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How often warm extents are reported to the coordinator, when they changed. Default 500 ms.</summary>
    public TimeSpan WarmReportInterval { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How long <see cref="KvSession.Dispose"/> waits for the coordinator to confirm the end. Default 5 s.</summary>
    public TimeSpan CloseTimeout { get; init; } = TimeSpan.FromSeconds(5);
}
