using System.Diagnostics.Metrics;

namespace Kvcached.Actors.Telemetry;

/// <summary>
/// What a coordinator counts and times, for whoever listens to the meter <c>Kvcached</c>; costs next to nothing when nobody does. Documented in
/// <c>docs/metrics.md</c>, which a test compares with this.
/// </summary>
public static class KvcachedMeter
{
    public const string Name = "Kvcached";

    /// <summary>Bounds of histograms of time, in seconds: a decision takes tens of microseconds to seconds.</summary>
    private static readonly double[] Seconds =
        [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

    /// <summary>The meter; instruments of what a host reads are added to it.</summary>
    public static Meter Meter { get; } = new(Name);

    public static Counter<long> Decisions { get; } = Meter.CreateCounter<long>("kvcached_decisions", null, "Decisions sent to ranks.");

    public static Counter<long> Maps { get; } = Meter.CreateCounter<long>("kvcached_maps", null, "Maps granted.");

    public static Counter<long> Unmaps { get; } = Meter.CreateCounter<long>("kvcached_unmaps", null, "Returns carried out.");

    public static Counter<long> Aborts { get; } = Meter.CreateCounter<long>("kvcached_aborts", null, "Maps undone on all ranks.");

    public static Counter<long> Refusals { get; } = Meter.CreateCounter<long>("kvcached_refusals", null, "Requests refused, by reason.");

    public static Counter<long> Revokes { get; } = Meter.CreateCounter<long>("kvcached_revoked_extents", null, "Extents asked back from engines.");

    public static Counter<long> Shrinks { get; } = Meter.CreateCounter<long>("kvcached_shrinks", null, "Times that a pool was asked to shrink.");

    public static Counter<long> Quarantines { get; } = Meter.CreateCounter<long>("kvcached_quarantined_extents", null, "Extents that a rank could not unmap in time.");

    public static Counter<long> DigestMismatches { get; } = Meter.CreateCounter<long>("kvcached_digest_mismatches", null, "Answers of ranks whose table wasn't the expected one.");

    public static Counter<long> TakeOvers { get; } = Meter.CreateCounter<long>("kvcached_coordinator_starts", null, "Times that a coordinator began on this host.");

    public static Histogram<double> MapSeconds { get; } = Time("kvcached_map", "From an engine's request for pages to its grant.");

    public static Histogram<double> MapWaitSeconds { get; } = Time("kvcached_map_wait", "From the request to the decision: queues, memory asked back.");

    public static Histogram<double> MapGatherSeconds { get; } = Time("kvcached_map_gather", "From the decision to the last rank's answer: both ways, and mapping.");

    public static Histogram<double> DriverSeconds { get; } = Time("kvcached_rank_driver", "What a rank's driver calls of one decision took.");

    public static Histogram<double> UnmapSeconds { get; } = Time("kvcached_unmap", "From a return to the last rank's answer.");

    private static Histogram<double> Time(string name, string description) =>
        Meter.CreateHistogram(name, "s", description, advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = Seconds });
}
