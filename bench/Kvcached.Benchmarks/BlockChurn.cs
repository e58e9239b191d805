using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Benchmarks;

/// <summary>
/// A block allocator in the middle of its life: 90 % of its blocks are used, in batches of 16 that were allocated in order and are
/// freed at random, so that neither lists nor memory are in a lucky order.
/// </summary>
internal sealed class BlockChurn
{
    public const int BatchBlockCount = 16;
    private const int BlocksPerPage = 64;
    private const int PagesPerExtent = 4;
    private readonly BlockId[] _blocks;
    private readonly int[] _freeOrder;
    private int _next;
    private long _step;

    public BlockChurn(int blockCount)
    {
        var extentCount = (blockCount + (BlocksPerPage * PagesPerExtent) - 1) / (BlocksPerPage * PagesPerExtent);
        Allocator = new BlockAllocator(new PageSlots(2 << 20, (2 << 20) / BlocksPerPage), extentCount * PagesPerExtent);
        for (var extent = 0; extent < extentCount; extent++)
        {
            Require(Allocator.AddExtent(new Extent(0, new PageId(extent * PagesPerExtent), 2, (uint)extent + 1), default) == ExtentFault.None);
        }

        var batchCount = Math.Max(1, blockCount * 9 / 10 / BatchBlockCount);
        _blocks = new BlockId[batchCount * BatchBlockCount];
        Require(Allocator.TryAllocate(_blocks));
        var random = new Random(1);
        random.Shuffle(_blocks);
        _freeOrder = [.. Enumerable.Range(0, batchCount)];
        random.Shuffle(_freeOrder);
    }

    public BlockAllocator Allocator { get; }

    /// <summary>Frees one batch and allocates another.</summary>
    public void FreeAndAllocate()
    {
        var batch = _blocks.AsSpan(_freeOrder[_next] * BatchBlockCount, BatchBlockCount);
        _next = _next + 1 == _freeOrder.Length ? 0 : _next + 1;
        Require(Allocator.Free(batch, new LastUse(++_step, TimeSpan.FromTicks(_step))).IsNone);
        Require(Allocator.TryAllocate(batch));
    }

    /// <summary>Allocates a batch and frees it again: the same few blocks each time.</summary>
    public void AllocateAndFree(Span<BlockId> batch)
    {
        Require(Allocator.TryAllocate(batch));
        Require(Allocator.Free(batch, new LastUse(++_step, TimeSpan.FromTicks(_step))).IsNone);
    }

    private static void Require(bool condition)
    {
        if (!condition)
        {
            throw new InvalidOperationException("The allocator refused what it has to accept.");
        }
    }
}
