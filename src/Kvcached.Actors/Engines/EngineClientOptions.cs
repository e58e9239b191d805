using System.Collections.Immutable;

namespace Kvcached.Actors.Engines;

/// <summary>How an engine reaches its domain.</summary>
public sealed record EngineClientOptions
{
    /// <summary>Name of the engine, for people; 1 to 64 characters.</summary>
    public required string EngineName { get; init; }

    /// <summary>The domain to reach. Default <c>default</c>.</summary>
    public string Domain { get; init; } = "default";

    /// <summary>Addresses of hosts of the domain, <c>host:port</c>; any one that answers will do. At least one.</summary>
    public required ImmutableArray<string> Hosts { get; init; }

    /// <summary>How long connecting may take. Default 30 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>A request without an answer is sent again, under its id, soon at first and at last after this long. Default 2 s.</summary>
    public TimeSpan ResendAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How often warm extents are reported to the coordinator, when they changed. Default 500 ms.</summary>
    public TimeSpan WarmReportInterval { get; init; } = TimeSpan.FromMilliseconds(500);
}
