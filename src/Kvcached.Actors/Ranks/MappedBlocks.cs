using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Checking;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Ranks;

/// <summary>The blocks of a batch, made sure of: each lies whole in one page of an extent that is mapped here.</summary>
internal sealed record MappedBlocks(ImmutableArray<BlockStamp> Stamps, ImmutableArray<Extent> Extents)
{
    /// <summary>Most blocks of one batch.</summary>
    public const int MaxBlocks = 1 << 20;

    /// <summary>Finds the extents of the blocks; false with the reason when one of them isn't mapped.</summary>
    public static bool TryFind(RankPool pool, int group, ImmutableArray<StampedBlock> blocks, out MappedBlocks? found, out string problem)
    {
        found = null;
        if (blocks.IsDefault || blocks.Length > MaxBlocks || group < 0 || group >= pool.Layout.GroupCount)
        {
            problem = $"{pool.Id}: a batch names a KV group (0 to {pool.Layout.GroupCount - 1}) and at most {MaxBlocks} blocks.";
            return false;
        }

        var slots = pool.Geometry.SlotsOf(group);
        var mapped = pool.MappedExtents.Where(e => e.Group == group).OrderBy(e => e.First).ToArray();
        var starts = mapped.Select(e => e.First.Value).ToArray();
        var extents = new HashSet<Extent>();
        var stamps = ImmutableArray.CreateBuilder<BlockStamp>(blocks.Length);
        foreach (var block in blocks)
        {
            var page = slots.IsUsable(block.Block) ? slots.PageOf(block.Block).Value : -1;
            var index = Array.BinarySearch(starts, page);
            index = index < 0 ? ~index - 1 : index;
            if (page < 0 || index < 0 || page >= mapped[index].EndPage)
            {
                problem = $"{block.Block} of {pool.Id} group {group} lies in no mapped page.";
                return false;
            }

            extents.Add(mapped[index]);
            stamps.Add(new BlockStamp(block.Block, block.Version, block.IsWhole));
        }

        found = new MappedBlocks(stamps.MoveToImmutable(), [.. extents]);
        problem = string.Empty;
        return true;
    }
}
