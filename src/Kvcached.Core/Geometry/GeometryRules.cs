using System.Globalization;

namespace Kvcached.Core.Geometry;

/// <summary>Says what is wrong with a geometry before anything is reserved for it.</summary>
public static class GeometryRules
{
    /// <summary>Most virtual bytes that one rank may reserve for one pool: a sixteenth of the 47-bit address space.</summary>
    public const long MaxArenaBytes = 1L << 43;

    /// <summary>Most ranks of one pool.</summary>
    public const int MaxRanks = 1024;

    /// <summary>Most layers of one KV group on one rank.</summary>
    public const int MaxLayers = 4096;

    /// <summary>Most KV groups of one pool.</summary>
    public const int MaxGroups = 64;

    /// <summary>Most page ids of one KV group: tables of them are kept by host, worker and scheduler.</summary>
    public const int MaxVirtualPages = 1 << 26;

    /// <summary>Most block ids of one KV group: the engine's allocator keeps up to 13 bytes for each.</summary>
    public const int MaxBlocks = 1 << 26;

    /// <summary>Most mapping units of one rank: each costs a driver call and a file descriptor per extent.</summary>
    public const int MaxUnits = 4096;

    /// <summary>
    /// The first rule that the geometry breaks, as a sentence for the user, or null when it is sound.
    /// </summary>
    /// <param name="geometry">What an engine asked for.</param>
    /// <param name="granularityBytes">The smallest size and alignment that the ranks' drivers map, in bytes.</param>
    public static string? FindProblem(PoolGeometry geometry, long granularityBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(granularityBytes, 1);
        if (!Enum.IsDefined(geometry.Layout))
        {
            return $"There is no layout {(int)geometry.Layout}; use contiguous, grouped or per-layer.";
        }

        if (geometry.VirtualPageCounts.IsDefaultOrEmpty || geometry.VirtualPageCounts.Length > MaxGroups)
        {
            return $"A pool has 1 to {MaxGroups} KV groups.";
        }

        if (geometry.Ranks.IsDefaultOrEmpty || geometry.Ranks.Length > MaxRanks)
        {
            return $"A pool has 1 to {MaxRanks} ranks.";
        }

        if (geometry.Layout == KvLayout.Grouped ? geometry.LayersPerMapping is < 1 or > MaxLayers : geometry.LayersPerMapping != 0)
        {
            return $"Layers per mapping is {geometry.LayersPerMapping}: 1 to {MaxLayers} for the grouped layout, and 0 for the others.";
        }

        for (var g = 0; g < geometry.VirtualPageCounts.Length; g++)
        {
            if (geometry.VirtualPageCounts[g] is < 1 or > MaxVirtualPages)
            {
                return $"KV group {g} has {geometry.VirtualPageCounts[g]} virtual pages; allowed are 1 to {MaxVirtualPages}.";
            }
        }

        for (var r = 0; r < geometry.Ranks.Length; r++)
        {
            if (FindProblemOfRank(geometry, r, granularityBytes) is { } problem)
            {
                return problem;
            }
        }

        return null;
    }

    private static string? FindProblemOfRank(PoolGeometry geometry, int rank, long granularityBytes)
    {
        var shape = geometry.Ranks[rank];
        var first = geometry.Ranks[0];
        if (shape is null || shape.Gpu.Value.Length == 0)
        {
            return $"Rank {rank} names no GPU.";
        }

        for (var other = 0; other < rank; other++)
        {
            if (geometry.Ranks[other].Gpu == shape.Gpu)
            {
                return $"Ranks {other} and {rank} both name {shape.Gpu}; each rank has a GPU of its own.";
            }
        }

        if (shape.Groups.IsDefault || shape.Groups.Length != geometry.VirtualPageCounts.Length)
        {
            return $"Rank {rank} describes {(shape.Groups.IsDefault ? 0 : shape.Groups.Length)} KV groups; the pool has {geometry.VirtualPageCounts.Length}.";
        }

        UInt128 arenaBytes = 0;
        var unitCount = 0L;
        for (var g = 0; g < shape.Groups.Length; g++)
        {
            var group = shape.Groups[g];
            if (FindProblemOfGroup(group, rank, granularityBytes) is { } problem)
            {
                return problem;
            }

            for (var other = 0; other < g; other++)
            {
                if (shape.Groups[other].Name == group.Name)
                {
                    return $"KV groups {other} and {g} of rank {rank} are both named '{group.Name}'; names are unique in a pool.";
                }
            }

            var reference = first.Groups[g];
            if (group.Name != reference.Name || group.Kind != reference.Kind || group.TokensPerBlock != reference.TokensPerBlock
                || group.BufferCount != reference.BufferCount || group.BlockBytes != reference.BlockBytes || group.PageBytes != reference.PageBytes)
            {
                return $"Rank {rank} and rank 0 disagree about KV group {g}: {Describe(group)} against {Describe(reference)}. "
                    + "Ranks may differ in layers only.";
            }

            arenaBytes += (UInt128)(ulong)group.BytesPerPageId * (uint)geometry.VirtualPageCounts[g];
            var blocks = (UInt128)(uint)geometry.VirtualPageCounts[g] * (ulong)group.PageBytes / (ulong)group.BlockBytes;
            if (blocks > MaxBlocks)
            {
                return $"KV group {g} would have more than {MaxBlocks} block ids; lower its virtual pages or enlarge its blocks.";
            }

            unitCount += geometry.Layout switch
            {
                KvLayout.Contiguous => 1,
                KvLayout.Grouped => (group.LayerCount + geometry.LayersPerMapping - 1) / geometry.LayersPerMapping,
                _ => (long)group.LayerCount * group.BufferCount,
            };
        }

        if (arenaBytes > MaxArenaBytes)
        {
            return $"Rank {rank} would reserve {arenaBytes.ToString(CultureInfo.InvariantCulture)} virtual bytes; at most {MaxArenaBytes} are allowed.";
        }

        return unitCount > MaxUnits
            ? $"Rank {rank} would need {unitCount} mappings per page id; at most {MaxUnits} are allowed. Use the grouped or contiguous layout."
            : null;
    }

    private static string? FindProblemOfGroup(KvGroupShape group, int rank, long granularityBytes)
    {
        if (group is null || string.IsNullOrEmpty(group.Name) || group.Name.Length > 64)
        {
            return $"A KV group of rank {rank} has no name of 1 to 64 characters.";
        }

        if (!Enum.IsDefined(group.Kind))
        {
            return $"KV group '{group.Name}' has kind {(int)group.Kind}, which doesn't exist.";
        }

        if (group.LayerCount is < 1 or > MaxLayers || group.BufferCount is < 1 or > 16 || group.TokensPerBlock is < 0 or > 1 << 20)
        {
            return $"KV group '{group.Name}' of rank {rank} has {group.LayerCount} layers, {group.BufferCount} buffers and {group.TokensPerBlock} tokens "
                + $"per block; allowed are 1 to {MaxLayers}, 1 to 16 and 0 to 1048576.";
        }

        if (group.PageBytes <= 0 || group.PageBytes % granularityBytes != 0 || group.PageBytes > 1L << 36)
        {
            return $"KV group '{group.Name}' has pages of {group.PageBytes} bytes; they must be a multiple of the granularity, {granularityBytes}, and at most 64 GiB.";
        }

        if (group.BlockBytes <= 0 || group.BlockBytes > group.PageBytes)
        {
            return $"KV group '{group.Name}' has blocks of {group.BlockBytes} bytes; a block has at least 1 byte and at most a page, {group.PageBytes}. "
                + "Enlarge the page for larger blocks.";
        }

        if ((group.Kind == KvGroupKind.State) != (group.TokensPerBlock == 0))
        {
            return $"KV group '{group.Name}' is of kind {group.Kind} and has {group.TokensPerBlock} tokens per block; a state has 0, all others at least 1.";
        }

        return new PageSlots(group.PageBytes, group.BlockBytes).LeastBlocksPerPage < 1
            ? $"KV group '{group.Name}' has blocks of {group.BlockBytes} bytes in pages of {group.PageBytes}, so that some pages would hold no whole block. "
                + "Use pages of at least two blocks, or a block that divides the page."
            : null;
    }

    private static string Describe(KvGroupShape group) =>
        $"'{group.Name}' {group.Kind}, {group.TokensPerBlock} tokens, {group.BufferCount} × {group.BlockBytes} bytes a block, pages of {group.PageBytes} bytes";
}
