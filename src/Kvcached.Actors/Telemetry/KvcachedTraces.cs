using System.Diagnostics;

namespace Kvcached.Actors.Telemetry;

/// <summary>
/// Where spans of decisions come from, for whoever listens to the source <c>Kvcached</c>. Documented in <c>docs/tracing.md</c>, which a test compares with this.
/// </summary>
public static class KvcachedTraces
{
    public const string Name = "Kvcached";

    /// <summary>Spans of the coordinator and of ranks.</summary>
    public static ActivitySource Source { get; } = new(Name);

    /// <summary>Spans of the coordinator: from the request, or from what made it decide, to the last rank's answer.</summary>
    public const string Map = "kvcached.map", Unmap = "kvcached.unmap", Abort = "kvcached.abort";

    /// <summary>Spans of a rank, below the coordinator's: from the arrival of the decision to the answer.</summary>
    public const string RankMap = "kvcached.rank.map", RankUnmap = "kvcached.rank.unmap", RankAbort = "kvcached.rank.abort";

    /// <summary>Something that is noted within a span.</summary>
    public const string DecidedEvent = "decided", WorkerEvent = "waits for worker", CopierEvent = "waits for data checker";

    /// <summary>Tags of both.</summary>
    public const string PoolTag = "kvcached.pool", EpochTag = "kvcached.epoch", SeqTag = "kvcached.seq", OutcomeTag = "kvcached.outcome";

    /// <summary>Tags of the coordinator's spans.</summary>
    public const string SessionTag = "kvcached.session", RequestTag = "kvcached.request", PagesTag = "kvcached.pages", ExtentsTag = "kvcached.extents", AbortedTag = "kvcached.aborted_seq";

    /// <summary>Tags of a rank's spans.</summary>
    public const string GpuTag = "kvcached.gpu", DriverTag = "kvcached.driver_microseconds";
}
