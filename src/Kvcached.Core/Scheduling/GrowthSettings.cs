namespace Kvcached.Core.Scheduling;

/// <summary>How a KV group grows ahead of need.</summary>
/// <param name="Horizon">Free blocks must cover growth at the measured rate for so long.</param>
/// <param name="MinimumFreeBlocks">Free blocks kept in any case, once the group has been used.</param>
/// <param name="MaxRequestPages">Most pages of one request, from 1.</param>
/// <param name="LeastBlocksPerPage">Whole blocks in the page that has the fewest, from 1.</param>
/// <param name="VirtualPages">Pages that there is virtual room for.</param>
public readonly record struct GrowthSettings(
    TimeSpan Horizon, int MinimumFreeBlocks, int MaxRequestPages, int LeastBlocksPerPage, int VirtualPages);

/// <summary>What a KV group has at one moment.</summary>
/// <param name="OccupiedBlocks">Blocks in use or cached.</param>
/// <param name="FreeBlocks">Blocks that can be handed out.</param>
/// <param name="HeldPages">Pages mapped.</param>
/// <param name="ComingPages">Pages asked for and not yet answered.</param>
public readonly record struct GrowthState(long OccupiedBlocks, long FreeBlocks, int HeldPages, int ComingPages);
