using System.Collections.Immutable;
using Kvcached.Actors.Hosting;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Pools;
using Kvcached.Host.Gateway;

namespace Kvcached.Host.Options;

/// <summary>What one host is told: checked, with every default filled in. The device and the run directory are looked at later.</summary>
internal sealed record KvcachedHostOptions
{
    /// <summary>Which device to serve.</summary>
    public GpuChoice Gpu { get; init; } = new GpuChoice.Automatic();

    /// <summary>Which backend to serve it with.</summary>
    public BackendChoice Backend { get; init; } = BackendChoice.Auto;

    /// <summary>Bytes that the host may lend; null = derived from the device.</summary>
    public long? MemoryBytes { get; init; }

    /// <summary>Port of the management HTTP; 0 takes a free one. Default 8558.</summary>
    public int ManagementPort { get; init; } = 8558;

    /// <summary>File with the token that changes need; null = one is made at start.</summary>
    public string? ManagementTokenFile { get; init; }

    /// <summary>Port of Akka.Management's own routes; 0 takes a free one; null = not served.</summary>
    public int? AkkaManagementPort { get; init; }

    /// <summary>Directory for what outlives the process; null = the user's default.</summary>
    public string? RunDirectory { get; init; }

    /// <summary>How engine processes are served.</summary>
    public GatewayOptions Gateway { get; init; } = new();

    /// <summary>How long joining the cluster may take; zero = for ever. Default 2 minutes.</summary>
    public TimeSpan JoinTimeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How long management waits for the coordinator. Default 2 s.</summary>
    public TimeSpan ManagementAskTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Where metrics and spans are pushed by OTLP (gRPC); null = nowhere.</summary>
    public Uri? OtlpEndpoint { get; init; }

    /// <summary>Share of decisions whose spans are pushed, 0 to 1. Default 0 = none is made.</summary>
    public double TraceShare { get; init; }

    /// <summary>What is done with memory that comes back; its capacity is filled in once the device is known.</summary>
    public PagePoolOptions Pages { get; init; } = new() { CapacityBytes = 0 };

    /// <summary>Files with this host's certificate, its key, and the domain's authority; null = no TLS.</summary>
    public TlsFiles? Tls { get; init; }

    /// <summary>What of the device is kept free. Default: 512 MiB of a GPU; main memory isn't looked at.</summary>
    public HeadroomChoice Headroom { get; init; }

    /// <summary>For how long the greatest use of the device by others counts. Default 5 s.</summary>
    public TimeSpan HeadroomCalm { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>For tests only: a file that says how much others use of the device; null = its driver is asked.</summary>
    public string? ForeignMemoryFile { get; init; }

    /// <summary>For tests only: driver calls that go wrong, counted from the start. Default none.</summary>
    public ImmutableArray<NamedFault> Faults { get; init; } = [];

    /// <summary>What the actors are told; its run directory and device name are filled in once known.</summary>
    public RankHostOptions Ranks { get; init; } = new() { RunDirectory = string.Empty };
}
