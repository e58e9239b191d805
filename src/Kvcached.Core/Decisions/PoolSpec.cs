using Kvcached.Core.Geometry;

namespace Kvcached.Core.Decisions;

/// <summary>Where a pool's pages are mapped; fixed when it is opened.</summary>
public enum PoolTarget : byte
{
    /// <summary>In the rank hosts themselves: for .NET engines in the host, and for tests.</summary>
    Host = 1,

    /// <summary>In the engine's own workers, one per rank.</summary>
    Worker = 2,
}

/// <summary>What an engine asks for when it opens a pool.</summary>
/// <param name="Name">Name of the pool in its domain, 1 to 64 characters of letters, digits, dot, dash and underscore.</param>
/// <param name="Geometry">Its shape.</param>
/// <param name="Target">Where its pages are mapped.</param>
/// <param name="LimitBytes">Most bytes that it may hold on each of its GPUs; 0 means all that the GPU lends.</param>
/// <param name="FloorBytes">Bytes on each of its GPUs that are kept for it whatever others do; 0 = none.</param>
/// <param name="Weight">Share among pools that want more than there is, 1 to 1,000,000.</param>
public sealed record PoolSpec(
    string Name,
    PoolGeometry Geometry,
    PoolTarget Target,
    long LimitBytes,
    long FloorBytes,
    int Weight)
{
    /// <summary>
    /// User of the process that opened it, from 0: only its processes may map the pages or take the pool over. -1 = any, for engines whose user isn't known.
    /// </summary>
    public long OwnerUserId { get; init; } = -1;
}
