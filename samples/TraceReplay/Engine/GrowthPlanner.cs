using System.Numerics;

namespace Kvcached.TraceReplay.Engine;

/// <summary>
/// Says how many pages to ask for: enough that, at the measured rate of allocation, free blocks last until the next grant
/// has come and gone. Pure; times are real time since the engine's start.
/// </summary>
internal sealed class GrowthPlanner(int blocksPerPage)
{
    /// <summary>Allocation at the measured rate for so long must always be covered by free blocks.</summary>
    public static readonly TimeSpan Horizon = TimeSpan.FromMilliseconds(100);

    /// <summary>Most pages in one request: 2^4, so that nobody waits behind one huge grant.</summary>
    public const int MaxRequestPages = 16;

    private static readonly TimeSpan Smoothing = TimeSpan.FromSeconds(2);

    private TimeSpan _observedAt;
    private long _observedBlocks;

    /// <summary>Blocks allocated per second, smoothed over about 2 s.</summary>
    public double BlocksPerSecond { get; private set; }

    /// <summary>Free blocks below which more pages are asked for; at least an eighth of a page, at most 16 pages.</summary>
    public int WatermarkBlocks =>
        (int)Math.Clamp(BlocksPerSecond * Horizon.TotalSeconds, Math.Max(1, blocksPerPage / 8), (double)blocksPerPage * MaxRequestPages);

    /// <summary>Idle pages worth keeping for the next growth.</summary>
    public int WarmPagesToKeep => PagesOf(WatermarkBlocks);

    /// <summary>Takes the count of blocks allocated since the start into the rate.</summary>
    public void Observe(TimeSpan now, long allocatedBlocks)
    {
        var elapsed = now - _observedAt;
        if (elapsed <= TimeSpan.Zero)
        {
            return;
        }

        var rate = (allocatedBlocks - _observedBlocks) / elapsed.TotalSeconds;
        BlocksPerSecond += (rate - BlocksPerSecond) * (1 - Math.Exp(-elapsed / Smoothing));
        (_observedAt, _observedBlocks) = (now, allocatedBlocks);
    }

    /// <summary>
    /// Pages to ask for now: 0, or a power of two up to <see cref="MaxRequestPages"/>. A larger need is met by several requests, so that
    /// no more than needed is taken.
    /// </summary>
    /// <param name="freeBlocks">Blocks that could be allocated at once.</param>
    /// <param name="demandBlocks">Blocks that requests already wait for.</param>
    public int PagesToRequest(long freeBlocks, long demandBlocks)
    {
        var shortfall = WatermarkBlocks + demandBlocks - freeBlocks;
        if (shortfall <= 0)
        {
            return 0;
        }

        var pages = (int)Math.Min(MaxRequestPages, PagesOf(shortfall));
        return 1 << BitOperations.Log2((uint)pages);
    }

    private int PagesOf(long blocks) => (int)Math.Min(int.MaxValue, (blocks + blocksPerPage - 1) / blocksPerPage);
}
