using Kvcached.Core.Geometry;
using Kvcached.Core.Paging;

namespace Kvcached.Benchmarks.Scale;

/// <summary>Managed memory of a block allocator with all its extents, by number of blocks.</summary>
internal static class BlockMemory
{
    private const int BlocksPerPage = 64;
    private const int PagesPerExtentLog2 = 2;

    public static BlockMemoryResult Measure(int blockCount)
    {
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var allocator = Fill(blockCount);
        var bytes = GC.GetTotalMemory(forceFullCollection: true) - before;
        GC.KeepAlive(allocator);
        return new BlockMemoryResult(blockCount, bytes);
    }

    private static BlockAllocator Fill(int blockCount)
    {
        var pageCount = 1 << PagesPerExtentLog2;
        var extentCount = (blockCount + (BlocksPerPage * pageCount) - 1) / (BlocksPerPage * pageCount);
        var allocator = new BlockAllocator(new PageSlots(2 << 20, (2 << 20) / BlocksPerPage), extentCount * pageCount);
        for (var i = 0; i < extentCount; i++)
        {
            var fault = allocator.AddExtent(new Extent(0, new Core.Ids.PageId(i * pageCount), PagesPerExtentLog2, (uint)i + 1), default);
            if (fault != ExtentFault.None)
            {
                throw new InvalidOperationException($"The allocator refused extent {i}: {fault}.");
            }
        }

        return allocator;
    }
}

/// <param name="BlockCount">Blocks of the pool.</param>
/// <param name="Bytes">Managed memory of its allocator.</param>
internal sealed record BlockMemoryResult(int BlockCount, long Bytes);
