using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Scheduling;

namespace Kvcached.Client.Pools;

/// <summary>What a pool keeps of one KV group besides its blocks. Guarded by the lock of its pool.</summary>
internal sealed class GroupState
{
    public GroupState(PoolGeometry geometry, int group, KvPoolOptions options)
    {
        LeastBlocksPerPage = (int)geometry.SlotsOf(group).LeastBlocksPerPage;
        Planner = new GrowthPlanner(new GrowthSettings(
            options.GrowthHorizon, options.MinimumFreeBlocks, options.MaxGrowthPages, LeastBlocksPerPage, geometry.VirtualPageCounts[group]));
    }

    public GrowthPlanner Planner { get; }

    public int LeastBlocksPerPage { get; }

    /// <summary>Pages asked for and not answered yet.</summary>
    public int ComingPages { get; set; }

    /// <summary>Free blocks below which growth is called for, as of the last upkeep.</summary>
    public long WantedFreeBlocks { get; set; }

    public BlockId? NullBlock { get; set; }

    /// <summary>Pages that cover so many blocks.</summary>
    public int PagesOf(long blocks) => (int)Math.Min(int.MaxValue, (blocks + LeastBlocksPerPage - 1) / LeastBlocksPerPage);
}
