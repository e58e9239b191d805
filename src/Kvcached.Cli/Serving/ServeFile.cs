namespace Kvcached.Cli.Serving;

/// <summary>What <c>kvctl serve</c> reads of the file of models; the rest is the router's (docs/serving.md).</summary>
internal sealed class ServeFile
{
    /// <summary>Hosts to start; none when engines reach hosts that run already.</summary>
    public List<HostEntry> Hosts { get; set; } = [];

    public RouterEntry Router { get; set; } = new();

    public List<ServedModelEntry> Models { get; set; } = [];
}

/// <summary>A host to start.</summary>
internal sealed class HostEntry
{
    /// <summary>What engines' entries call it.</summary>
    public string Name { get; set; } = string.Empty;

    /// <summary>Arguments of Kvcached.Host.</summary>
    public List<string> Arguments { get; set; } = [];
}

/// <summary>The router.</summary>
internal sealed class RouterEntry
{
    /// <summary>Arguments of Kvcached.Router besides --models.</summary>
    public List<string> Arguments { get; set; } = [];
}

/// <summary>A model.</summary>
internal sealed class ServedModelEntry
{
    public string Name { get; set; } = string.Empty;

    /// <summary>What the router asks for its health.</summary>
    public string HealthPath { get; set; } = "/health";

    /// <summary>Engines to start; none when <c>replicas</c> names engines that run already.</summary>
    public List<LaunchEntry> Launch { get; set; } = [];
}

/// <summary>An engine to start.</summary>
internal sealed class LaunchEntry
{
    /// <summary>Program and arguments; {model}, {port} and {socket} stand for what they say.</summary>
    public List<string> Command { get; set; } = [];

    /// <summary>Name of the host whose engine socket {socket} is; default the first.</summary>
    public string? Host { get; set; }

    /// <summary>Variables to set.</summary>
    public Dictionary<string, string> Environment { get; set; } = [];

    /// <summary>Where it runs; default the file's own folder.</summary>
    public string? Directory { get; set; }

    /// <summary>How long it may take until it answers a health check, in seconds; default 600.</summary>
    public double ReadySeconds { get; set; } = 600;
}
