namespace Kvcached.Actors.Serialization;

/// <summary>
/// Names of the control messages on the wire. Frozen; the layout of a control message has no version of its own, because
/// <see cref="ControlSerializer"/> compares a fingerprint of all of them.
/// </summary>
public static class ControlManifests
{
    public const string RegisterRank = "RegisterRank";
    public const string ReportRank = "ReportRank";
    public const string RankRejected = "RankRejected";
    public const string RankReported = "RankReported";
    public const string EpochRefused = "EpochRefused";
    public const string OpenRankPool = "OpenRankPool";
    public const string CloseRankPool = "CloseRankPool";
    public const string RankPoolAnswer = "RankPoolAnswer";
    public const string WorkerChanged = "WorkerChanged";

    public const string SessionRefused = "SessionRefused";
    public const string CloseSession = "CloseSession";
    public const string SessionClosed = "SessionClosed";
    public const string SessionDied = "SessionDied";
    public const string OpenPool = "OpenPool";
    public const string PoolOpened = "PoolOpened";
    public const string ClosePool = "ClosePool";
    public const string PoolClosed = "PoolClosed";
    public const string PoolWithdrawn = "PoolWithdrawn";

    public const string DescribeDomain = "DescribeDomain";
    public const string DomainDescription = "DomainDescription";

    public const string KeepPolicies = "KeepPolicies";
    public const string PoliciesKept = "PoliciesKept";
    public const string ChangePolicy = "ChangePolicy";
    public const string PolicyChanged = "PolicyChanged";
    public const string TrimPool = "TrimPool";
    public const string DrainGpu = "DrainGpu";
    public const string GpuDrained = "GpuDrained";
    public const string SetDraining = "SetDraining";
    public const string PoolTrimmed = "PoolTrimmed";
    public const string ReadEvents = "ReadEvents";
    public const string EventsRead = "EventsRead";
    public const string OperatorRefused = "OperatorRefused";
}
