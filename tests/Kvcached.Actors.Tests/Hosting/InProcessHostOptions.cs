namespace Kvcached.Actors.Tests.Hosting;

/// <summary>What a host in a test's own process is put together with.</summary>
internal sealed record InProcessHostOptions
{
    /// <summary>Goes before all other configuration. By default nobody is taken for dead because the machine is busy.</summary>
    public string Hocon { get; init; } = "akka.cluster.failure-detector.acceptable-heartbeat-pause = 60 s";

    /// <summary>Asked for as actors are started: goes before everything, also before what hosts are told.</summary>
    public Func<string> LastHocon { get; init; } = () => string.Empty;
}
