namespace Kvcached.Core.Contracts;

/// <summary><c>GET /pools</c>: the pools of a domain as its coordinator sees them.</summary>
/// <param name="Domain">Name of the domain.</param>
/// <param name="Epoch">Counter of the coordinator's epoch.</param>
/// <param name="EpochNodeUid">UID of the coordinator's node, in hexadecimal.</param>
/// <param name="ExpectedHosts">Hosts of the complete domain.</param>
/// <param name="IsRecovering">True until the coordinator knows what every rank holds.</param>
/// <param name="Counters">What has been decided since the coordinator took over.</param>
/// <param name="Pools">Every open pool.</param>
public sealed record PoolsView(
    string Domain, long Epoch, string EpochNodeUid, int ExpectedHosts, bool IsRecovering, CountersView Counters, IReadOnlyList<PoolView> Pools);

/// <summary>One pool; also <c>GET /pools/{id or name}</c>.</summary>
/// <param name="Id">Its id, <c>pool-EPOCH.SERIAL</c>.</param>
/// <param name="Name">Its name.</param>
/// <param name="EngineName">Who opened it.</param>
/// <param name="State"><c>opening</c>, <c>reopening</c>, <c>recovering</c>, <c>ready</c>, <c>stopped</c>, <c>stranded</c> (a host ended and is awaited), <c>lost</c> (its engine is to close it), <c>closing</c>, or <c>orphaned</c> while another session may take it over.</param>
/// <param name="Gpus">Its GPUs in rank order.</param>
/// <param name="MappedPageCount">Pages mapped on every rank.</param>
/// <param name="VirtualPageCount">Pages that it has room for.</param>
/// <param name="ExtentCount">Extents mapped on every rank.</param>
/// <param name="MappedBytes">Bytes mapped, per rank.</param>
/// <param name="WarmBytes">Of these, bytes of extents with no used block, per rank.</param>
/// <param name="LimitBytes">Limit per GPU; the smallest, where a percentage makes them differ.</param>
/// <param name="FloorBytes">Floor per GPU; the smallest, where a percentage makes them differ.</param>
/// <param name="Weight">Weight.</param>
/// <param name="Seq">Number of its last decision.</param>
/// <param name="Digest">Digest of its table, as 32 hexadecimal digits.</param>
public sealed record PoolView(
    string Id, string Name, string EngineName, string State, IReadOnlyList<string> Gpus, int MappedPageCount, long VirtualPageCount,
    int ExtentCount, IReadOnlyList<long> MappedBytes, IReadOnlyList<long> WarmBytes, long LimitBytes, long FloorBytes, int Weight,
    long Seq, string Digest)
{
    /// <summary>For people: whom or what it waits for while it grants nothing, and how long; empty when it doesn't.</summary>
    public string Awaited { get; init; } = string.Empty;

    /// <summary>Number of the last change by an operator; 0 = none, its engine's wishes count.</summary>
    public long Revision { get; init; }

    /// <summary>Its accounts, in rank order; GPUs whose host is away are left out.</summary>
    public IReadOnlyList<PoolOnGpuView> OnGpus { get; init; } = [];
}

/// <summary>What a coordinator has decided since it took over; times in milliseconds, of recent requests, 0 without any.</summary>
public sealed record CountersView(
    long Decisions, long Maps, long Unmaps, long Aborts, long Refusals, long Revokes, long DigestMismatches, long Quarantines,
    double MapMillisecondsP50, double MapMillisecondsP99, double UnmapMillisecondsP50);
