namespace Kvcached.Router.Configuration;

/// <summary>The file of <c>--models</c> as it is written; what it means and allows is decided by <see cref="ModelsFileReader"/>.</summary>
internal sealed class ModelsFile
{
    public List<ModelEntry> Models { get; set; } = [];

    /// <summary>How <c>kvctl serve</c> starts hosts; of no concern here.</summary>
    public object? Hosts { get; set; }

    /// <summary>How <c>kvctl serve</c> starts the router; of no concern here.</summary>
    public object? Router { get; set; }
}

/// <summary>A model.</summary>
internal sealed class ModelEntry
{
    /// <summary>What requests call it.</summary>
    public string? Name { get; set; }

    /// <summary>Other names for it.</summary>
    public List<string?> Aliases { get; set; } = [];

    /// <summary>Addresses of its engines, http://host:port.</summary>
    public List<string?> Replicas { get; set; } = [];

    /// <summary>Requests that one engine is given at a time; default 256.</summary>
    public int MaxInFlight { get; set; } = 256;

    /// <summary>Requests that may wait; default 1024.</summary>
    public int MaxQueued { get; set; } = 1024;

    /// <summary>How long one may wait; default 30s.</summary>
    public string QueueDeadline { get; set; } = "30s";

    /// <summary>How long an engine may say nothing while it works; default 10m.</summary>
    public string ActivityTimeout { get; set; } = "10m";

    /// <summary>What an engine answers with 200 while it is well; default /health.</summary>
    public string HealthPath { get; set; } = "/health";

    public SleepEntry? Sleep { get; set; }

    /// <summary>How <c>kvctl serve</c> starts its engine; of no concern here.</summary>
    public object? Launch { get; set; }
}

/// <summary>When a model sleeps and how.</summary>
internal sealed class SleepEntry
{
    /// <summary>vllm, sglang or kvcached.</summary>
    public string? Engine { get; set; }

    /// <summary>Idle time after which it sleeps, or never; default never.</summary>
    public string After { get; set; } = "never";

    /// <summary>How long it stays awake at least; default 60s.</summary>
    public string MinimumAwake { get; set; } = "60s";

    /// <summary>Times of the day, UTC, such as 22:00-06:00, in which it sleeps as soon as it is idle.</summary>
    public List<string?> Schedule { get; set; } = [];

    /// <summary>drop or host; default drop.</summary>
    public string Kv { get; set; } = "drop";

    /// <summary>keep, engine-level-1 or engine-level-2; default engine-level-1, and keep for kvcached.</summary>
    public string? Weights { get; set; }

    public string DrainDeadline { get; set; } = "60s";

    public string CallTimeout { get; set; } = "120s";

    public string ExpectedWake { get; set; } = "5s";

    /// <summary>What SGLang loads weights from again at engine-level-2.</summary>
    public string? ModelPath { get; set; }
}
