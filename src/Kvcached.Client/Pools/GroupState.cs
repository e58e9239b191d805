using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Scheduling;

namespace Kvcached.Client.Pools;

/// <summary>What a pool keeps of one KV group besides its blocks. Guarded by the lock of its pool.</summary>
internal sealed class GroupState
{
    /// <summary>
    /// Pages that are asked for together come in large extents, and one block keeps a whole extent. That is worth it while it saves mappings, which cost the same
    /// whatever their size, and is nothing gained once a single mapping is as large as this.
    /// </summary>
    private const long MaxMappingBytesAhead = 128L << 20;

    public GroupState(PoolGeometry geometry, int group, KvPoolOptions options)
    {
        LeastBlocksPerPage = (int)geometry.SlotsOf(group).LeastBlocksPerPage;
        Planner = new GrowthPlanner(new GrowthSettings(
            options.GrowthHorizon, options.MinimumFreeBlocks, Math.Min(options.MaxGrowthPages, MaxPagesAhead(geometry, group)), LeastBlocksPerPage, geometry.VirtualPageCounts[group]));
    }

    public GrowthPlanner Planner { get; }

    public int LeastBlocksPerPage { get; }

    /// <summary>Pages asked for and not answered yet.</summary>
    public int ComingPages { get; set; }

    /// <summary>Free blocks below which growth is called for, as of the last upkeep.</summary>
    public long WantedFreeBlocks { get; set; }

    public BlockId? NullBlock { get; set; }

    private static int MaxPagesAhead(PoolGeometry geometry, int group)
    {
        var largest = Enumerable.Range(0, geometry.Ranks.Length)
            .Max(rank => ArenaLayout.Create(geometry, rank).UnitsOf(group).Max(unit => unit.BytesPerPage));
        return (int)Math.Max(1, MaxMappingBytesAhead / largest);
    }

    /// <summary>Pages that cover so many blocks.</summary>
    public int PagesOf(long blocks) => (int)Math.Min(int.MaxValue, (blocks + LeastBlocksPerPage - 1) / LeastBlocksPerPage);
}
