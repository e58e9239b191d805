using System.Net;

namespace Kvcached.Router.Configuration;

/// <summary>What the command line says.</summary>
internal sealed record RouterOptions
{
    /// <summary>File of the models.</summary>
    public required string ModelsPath { get; init; }

    /// <summary>Where it listens; port 0 takes any. Default 127.0.0.1:8080.</summary>
    public IPEndPoint Listen { get; init; } = new(IPAddress.Loopback, 8080);

    /// <summary>The largest body of a request, bytes, 1 KiB to 1 GiB. Default 16 MiB.</summary>
    public long MaxBodyBytes { get; init; } = 16 << 20;

    /// <summary>What bodies of all requests together may hold in memory, bytes. Default 512 MiB.</summary>
    public long BodyMemoryBytes { get; init; } = 512 << 20;

    /// <summary>Connections of clients at a time. Default 4096.</summary>
    public int MaxConnections { get; init; } = 4096;

    /// <summary>File whose content sleep and wake need as a bearer token; null for none, when they are served on loopback only.</summary>
    public string? TokenPath { get; init; }
}
