using System.Collections.Immutable;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Pools;

/// <summary>Outcome of an unmap, extent by extent; it never goes back.</summary>
/// <param name="Unmapped">Extents whose page ids are free again.</param>
/// <param name="Quarantined">Extents that the driver would not let go: counted, and their page ids blocked, until a retry succeeds.</param>
/// <param name="NotMapped">Extents that were not mapped in this generation, or named twice; nothing was done about them.</param>
/// <param name="UnreleasedBytes">Bytes of unmapped extents that the driver would not take back: counted as quarantined.</param>
/// <param name="DriverMicroseconds">Time spent in driver calls.</param>
public sealed record UnmapResult(
    ImmutableArray<Extent> Unmapped,
    ImmutableArray<QuarantinedExtent> Quarantined,
    ImmutableArray<Extent> NotMapped,
    long UnreleasedBytes,
    long DriverMicroseconds);

/// <summary>An extent whose page ids are blocked and whose memory is counted although nobody uses it.</summary>
/// <param name="Extent">Which.</param>
/// <param name="Call">The native function that failed; null when it is only held back by <see cref="RankPool.Quarantine"/>.</param>
/// <param name="Code">Its answer.</param>
/// <param name="Text">A sentence for people; empty when it is held back.</param>
public readonly record struct QuarantinedExtent(Extent Extent, string? Call, DriverCode Code, string Text);

/// <summary>Outcome of another try at what the driver refused.</summary>
/// <param name="Recovered">Extents whose page ids are free again.</param>
/// <param name="RemainingExtents">Extents that the driver still refuses to let go.</param>
/// <param name="ReleasedBytes">Bytes that came back.</param>
/// <param name="RemainingBytes">Bytes still quarantined, those that are only held back among them.</param>
public sealed record RetryResult(
    ImmutableArray<Extent> Recovered, ImmutableArray<QuarantinedExtent> RemainingExtents, long ReleasedBytes, long RemainingBytes);
