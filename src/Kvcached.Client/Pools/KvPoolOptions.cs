namespace Kvcached.Client;

/// <summary>When a pool grows, evicts and gives back by itself.</summary>
public sealed record KvPoolOptions
{
    /// <summary>Whether the library asks for pages ahead of need, on its own thread. Default true.</summary>
    public bool IsGrowingAhead { get; init; } = true;

    /// <summary>How far ahead: enough blocks are kept free for the measured growth of this long. Default 500 ms.</summary>
    public TimeSpan GrowthHorizon { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Free blocks kept of each KV group even when it doesn't grow, once it has been used. Default 0.</summary>
    public int MinimumFreeBlocks { get; init; }

    /// <summary>
    /// Most pages of one KV group that are asked for ahead of need at once. Default 256; fewer where one mapping of them would be larger than 128 MiB.
    /// </summary>
    public int MaxGrowthPages { get; init; } = 256;

    /// <summary>An extent without used or cached blocks is given back after this long. <see cref="Timeout.InfiniteTimeSpan"/> = never. Default 5 s.</summary>
    public TimeSpan WarmDecay { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Pages of each KV group that decay leaves mapped. Default 0.</summary>
    public int WarmPagesToKeep { get; init; }

    /// <summary>Whether <see cref="KvPool.TryAllocate"/> evicts the least recently used cached blocks when free ones run out. Default true.</summary>
    public bool IsEvictingToAllocate { get; init; } = true;

    /// <summary>Whether extents that hold only cached blocks are given up when another pool needs memory. Default true.</summary>
    public bool IsGivingUpCached { get; init; } = true;

    /// <summary>Most bytes of cached blocks on the rank that holds most of them; beyond, the least recently used are evicted. 0 = no cap. Default 0.</summary>
    public long MaxCachedBytes { get; init; }

    /// <summary>
    /// Whether one block of each KV group is set aside when its first extent comes, and never handed out, cached or given up: engines pad block
    /// tables with it. See <see cref="KvPool.NullBlock"/>. Default true.
    /// </summary>
    public bool HasNullBlock { get; init; } = true;

    /// <summary>Whether tags are kept where a successor of this scheduler finds them. Default true.</summary>
    public bool IsKeepingTags { get; init; } = true;

    /// <summary>
    /// Growth that is refused because a rank has no worker is asked for again for so long, since a worker that has just attached is known to the
    /// coordinator a moment later. Never longer than the caller's own deadline. Default 1 s.
    /// </summary>
    public TimeSpan AttachPatience { get; init; } = TimeSpan.FromSeconds(1);
}
