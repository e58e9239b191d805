using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Pools;

/// <summary>Outcome of <see cref="RankPool.TryMap"/>: all extents, or none.</summary>
public abstract record MapResult
{
    private MapResult()
    {
    }

    /// <summary>All extents are backed and mapped.</summary>
    /// <param name="DriverMicroseconds">Time spent in driver calls.</param>
    /// <param name="CreatedCount">Extents whose memory was created for this.</param>
    /// <param name="ReusedCount">Extents that got kept memory or that of the floor.</param>
    public sealed record Mapped(long DriverMicroseconds, int CreatedCount, int ReusedCount) : MapResult;

    /// <summary>Nothing was mapped: the capacity, or the device, has too little left.</summary>
    public sealed record OutOfMemory(OutOfMemoryFacts Facts) : MapResult;

    /// <summary>
    /// Nothing was mapped yet: the memory is there, but workers have it imported of which it was asked back (<see cref="RankPool.TakeWanted"/>). To be tried
    /// again when they have let go.
    /// </summary>
    public sealed record AwaitsWorkers : MapResult;

    /// <summary>Nothing was mapped: a driver call failed.</summary>
    /// <param name="Call">The native function.</param>
    /// <param name="Code">Its answer.</param>
    /// <param name="Text">A sentence for people.</param>
    /// <param name="Quarantined">Extents of the request that could not be undone: their page ids stay blocked and their memory counted.</param>
    public sealed record DriverFailed(string Call, DriverCode Code, string Text, ImmutableArray<Extent> Quarantined) : MapResult;

    /// <summary>Nothing was mapped: the request makes no sense.</summary>
    /// <param name="Reason">The kind of nonsense.</param>
    /// <param name="Extent">The first extent that shows it.</param>
    /// <param name="Text">A sentence for people.</param>
    public sealed record Refused(MapRefusal Reason, Extent Extent, string Text) : MapResult;
}

/// <summary>Why a request to map makes no sense.</summary>
public enum MapRefusal
{
    /// <summary>An extent is malformed, or beyond the pool's virtual pages.</summary>
    InvalidExtent,

    /// <summary>Some of its page ids are mapped or quarantined, or named twice.</summary>
    Overlap,

    /// <summary>The pool is closed, or closing.</summary>
    PoolClosed,

    /// <summary>Adopting: there must be one descriptor per mapping unit.</summary>
    WrongDescriptorCount,

    /// <summary>Adopting: memory of this identity is already here, or its generation is not the extent's.</summary>
    WrongIdentity,

    /// <summary>The process may keep no more file descriptors.</summary>
    DescriptorsExhausted,
}

/// <summary>What stood in the way of a request for memory.</summary>
/// <param name="RequestedBytes">Bytes that the whole request would take.</param>
/// <param name="AvailableBytes">Bytes that the pool could have got at most, kept memory and its own unused floor included.</param>
/// <param name="CapacityBytes">The GPU's capacity for all pools.</param>
/// <param name="IsDeviceShort">True when the capacity would have sufficed, but the device had no more: something else uses it.</param>
/// <param name="Holders">Who holds what, largest first.</param>
public sealed record OutOfMemoryFacts(
    long RequestedBytes, long AvailableBytes, long CapacityBytes, bool IsDeviceShort, ImmutableArray<PoolHolding> Holders);

/// <summary>What one pool takes of the capacity.</summary>
/// <param name="Pool">The pool.</param>
/// <param name="UsedBytes">Mapped, kept and quarantined bytes.</param>
/// <param name="UnusedFloorBytes">Bytes set aside for it beyond those.</param>
public readonly record struct PoolHolding(PoolId Pool, long UsedBytes, long UnusedFloorBytes);
