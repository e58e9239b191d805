using Kvcached.Client.Tests.Support;
using Kvcached.Core.Ids;

namespace Kvcached.Client.Tests.Pools;

/// <summary>Threads that allocate, free and cache while the domain asks for memory back and gives new.</summary>
public sealed class KvPoolRaceTests
{
    private const int ThreadCount = 4;
    private const int RoundCount = 3000;

    private readonly FakePort _port = new();
    private readonly int[] _owner = new int[TestPool.PageCount * TestPool.BlocksPerPage];
    private int _problems;

    [Fact]
    public void ManyThreads_NoBlockInTwoHands_AndNoneInMemoryThatWasGivenUp()
    {
        using var pool = new KvPool(TestPool.Id, TestPool.Spec(), new KvPoolOptions { HasNullBlock = false }, _port);
        pool.TakeOver([], null);
        _port.GrantAll(pool);
        var workers = Enumerable.Range(1, ThreadCount).Select(id => new Thread(() => Work(pool, id))).ToArray();
        Array.ForEach(workers, w => w.Start());
        uint generation = 1000;
        while (workers.Any(w => w.IsAlive))
        {
            for (var page = 0; page < TestPool.PageCount; page += 2)
            {
                pool.Add([TestPool.Extent(page, order: 1, ++generation)]);
            }

            foreach (var extent in pool.GiveUp([.. pool.Extents(0)]).Extents)
            {
                for (var block = extent.First.Value * TestPool.BlocksPerPage; block < extent.EndPage * TestPool.BlocksPerPage; block++)
                {
                    // Given up and not yet given back to this pool: nobody may have it.
                    Interlocked.Add(ref _problems, Volatile.Read(ref _owner[block]) == 0 ? 0 : 1);
                }
            }
        }

        Array.ForEach(workers, w => w.Join());
        Assert.Equal(0, _problems);
        Assert.Equal(0, pool.GetStats().UsedBlocks);
    }

    private void Work(KvPool pool, int id)
    {
        var random = new Random(id);
        Span<BlockId> blocks = stackalloc BlockId[12];
        for (var round = 0; round < RoundCount; round++)
        {
            var some = blocks[..random.Next(1, blocks.Length)];
            if (!pool.TryAllocate(0, some))
            {
                continue;
            }

            foreach (var block in some)
            {
                if (Interlocked.CompareExchange(ref _owner[block.Value], id, 0) != 0)
                {
                    Interlocked.Increment(ref _problems);
                }
            }

            foreach (var block in some)
            {
                Volatile.Write(ref _owner[block.Value], 0);
            }

            var isCached = random.Next(4) == 0 && pool.Cache(0, some[0], [(byte)id], new EngineStep(round)).IsNone;
            if (!pool.Free(0, some[(isCached ? 1 : 0)..], new EngineStep(round)).IsNone)
            {
                Interlocked.Increment(ref _problems);
            }
        }
    }
}
