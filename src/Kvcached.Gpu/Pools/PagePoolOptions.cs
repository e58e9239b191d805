namespace Kvcached.Gpu.Pools;

/// <summary>How much of a GPU is lent, and what is done with memory that comes back.</summary>
public sealed record PagePoolOptions
{
    /// <summary>Bytes of the GPU that all pools together may hold, from 1.</summary>
    public required long CapacityBytes { get; init; }

    /// <summary>How long kept memory may lie unused above its pool's floor before it is released. Default 10 seconds; 0 = until the next trim.</summary>
    public TimeSpan KeptDecay { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Most bytes that one pool may keep unused; what exceeds it is released at once, oldest first. Default: no limit; 0 keeps nothing.</summary>
    public long MaxKeptBytesPerPool { get; init; } = long.MaxValue;

    /// <summary>
    /// Pages of the extents in which the memory of a floor is created: a power of two. Default 16. An extent of another size costs a
    /// release and a creation when it is mapped, never a refusal.
    /// </summary>
    public int FloorExtentPageCount { get; init; } = 16;
}
