using Kvcached.Client.Tests.Support;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Client.Tests.Pools;

public sealed class KvPoolTests : IDisposable
{
    private readonly FakePort _port = new();
    private readonly KvPool _pool;

    public KvPoolTests() => _pool = Open(new KvPoolOptions { HasNullBlock = false });

    public void Dispose() => _pool.Dispose();

    [Fact]
    public void TryAllocate_AndFree_TakeNoManagedMemory()
    {
        _pool.Add([TestPool.Extent(0, order: 2)]);
        var blocks = new BlockId[16];
        Exercise(blocks);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
        {
            Exercise(blocks);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Exercise(BlockId[] some)
        {
            if (!_pool.TryAllocate(0, some) || !_pool.Free(0, some, new EngineStep(1)).IsNone)
            {
                throw new InvalidOperationException("No blocks.");
            }
        }
    }

    [Fact]
    public void TryAllocate_LeaseNearItsEnd_IsRefusedThoughBlocksAreFree()
    {
        _pool.Add([TestPool.Extent(0)]);
        _port.Time.Advance(8_999);
        Assert.True(_pool.TryAllocate(0, new BlockId[1]));
        _port.Time.Advance(2);
        Assert.False(_pool.TryAllocate(0, new BlockId[1]));
        Assert.Equal(RefusalReason.UnknownSession, _pool.Withdrawn?.Reason);
        Assert.Equal(RefusalReason.UnknownSession, _pool.AllocateOrGrow(0, new BlockId[1], TimeSpan.FromSeconds(1))?.Reason);
        _port.Renew();
        Assert.True(_pool.TryAllocate(0, new BlockId[1]));
    }

    [Fact]
    public void TryAllocate_FreeBlocksRunOut_EvictsTheLeastRecentAndTellsItsTag()
    {
        _pool.Add([TestPool.Extent(0)]);
        var evicted = new List<(BlockId Block, byte Tag)>();
        _pool.Evicted += (_, block, tag) => evicted.Add((block, tag[0]));
        var blocks = Allocate(8);
        Cache(blocks[3], 33);
        Cache(blocks[1], 11);
        Assert.True(_pool.TryAllocate(0, new BlockId[1]));
        Assert.Equal([(blocks[3], (byte)33)], evicted);
    }

    [Fact]
    public void Cache_BeyondTheCap_EvictsTheLeastRecent()
    {
        using var pool = Open(new KvPoolOptions { HasNullBlock = false, MaxCachedBytes = 2 * 4 * TestPool.PageBytes / TestPool.BlocksPerPage });
        pool.Add([TestPool.Extent(0)]);
        var evicted = new List<BlockId>();
        pool.Evicted += (_, block, _) => evicted.Add(block);
        var blocks = new BlockId[3];
        Assert.True(pool.TryAllocate(0, blocks));
        foreach (var block in blocks)
        {
            Assert.True(pool.Cache(0, block, [1], default).IsNone);
        }

        Assert.Equal([blocks[0]], evicted);
        Assert.Equal(2, pool.GetStats().CachedBlocks);
    }

    [Fact]
    public void AllocateOrGrow_NothingMapped_AsksForJustEnoughPages()
    {
        _port.GrantAll(_pool);
        Assert.Null(_pool.AllocateOrGrow(0, new BlockId[9], TimeSpan.FromSeconds(1)));
        var asked = Assert.Single(_port.Requests.OfType<EngineProtocol.AllocatePages>());
        Assert.Equal((2, 0), (asked.PageCount, asked.Group));
        Assert.InRange(asked.Deadline, TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(1));
    }

    [Fact]
    public void AllocateOrGrow_GrowthRefused_EvictsInstead()
    {
        _pool.Add([TestPool.Extent(0)]);
        var blocks = Allocate(8);
        Cache(blocks[0], 1);
        Cache(blocks[1], 2);
        _port.Answer = request => FakePort.Refuse(request, RefusalReason.OutOfMemory);
        Assert.Null(_pool.AllocateOrGrow(0, new BlockId[2], TimeSpan.FromSeconds(1)));
        Assert.Equal(RefusalReason.OutOfMemory, _pool.AllocateOrGrow(0, new BlockId[1], TimeSpan.FromSeconds(1))?.Reason);
        Assert.Equal(8, _pool.GetStats().UsedBlocks);
    }

    [Fact]
    public void Grow_NobodyAnswers_IsRefusedByTheDeadlineAndLateGrantsAreUsed()
    {
        Assert.Equal(RefusalReason.DeadlineExceeded, _pool.Grow(0, 1, TimeSpan.FromMilliseconds(20)).Refusal?.Reason);
        _pool.Add([TestPool.Extent(0)]);
        Assert.Equal(8, _pool.Available(0).FreeBlocks);
    }

    [Fact]
    public void Grow_FromAHandler_IsRefusedInsteadOfWaitingForItself()
    {
        _port.IsOwnThread = true;
        Assert.Equal(RefusalReason.NotSupported, _pool.Grow(0, 1, TimeSpan.FromSeconds(1)).Refusal?.Reason);
    }

    [Fact]
    public void Trim_UsedInSeveralSteps_IsFencedByTheLatestOfWhatLeaves()
    {
        _port.GrantAll(_pool);
        _pool.Add([TestPool.Extent(0), TestPool.Extent(1, generation: 2)]);
        var blocks = Allocate(16);
        Assert.True(_pool.Free(0, blocks.AsSpan(0, 8), new EngineStep(7)).IsNone);
        Assert.True(_pool.Free(0, blocks.AsSpan(8), new EngineStep(5)).IsNone);
        Assert.Equal(2, _pool.Trim(0, 0, TimeSpan.FromSeconds(1)).Value);
        var freed = Assert.Single(_port.Requests.OfType<EngineProtocol.FreeExtents>());
        Assert.Equal(new EngineStep(7), freed.Fence);
        Assert.Equal(2, freed.Extents.Length);
    }

    [Fact]
    public void GiveUp_CachedAndPinnedAndUsed_GivesOnlyTheCachedAndTells()
    {
        _pool.Add([TestPool.Extent(0), TestPool.Extent(1, generation: 2), TestPool.Extent(2, generation: 3)]);
        var blocks = Allocate(17);
        var (cached, pinned) = (ExtentOf(blocks[0]), ExtentOf(blocks[8]));
        Assert.True(_pool.Pin(0, pinned.First, 1));
        Assert.True(_pool.Free(0, blocks.AsSpan(1, 15), new EngineStep(3)).IsNone);
        Assert.True(_pool.Cache(0, blocks[0], [9], new EngineStep(4)).IsNone);
        var evicted = new List<BlockId>();
        var shrinks = new List<ShrinkAsked>();
        _pool.Evicted += (_, block, _) => evicted.Add(block);
        _pool.ShrinkAsked += shrinks.Add;
        var asked = _pool.Extents(0).ToArray();
        var givenUp = _pool.GiveUp([.. asked]);
        _pool.TellRevoked([.. asked], givenUp);
        Assert.Equal([cached], givenUp.Extents.ToArray());
        Assert.Equal(new EngineStep(4), givenUp.Fence);
        Assert.Equal([blocks[0]], evicted);
        Assert.Equal([new ShrinkAsked(3, 1)], shrinks);
        Assert.False(_pool.TryAllocate(0, new BlockId[16]));
        Assert.True(_pool.Unpin(0, pinned.First, 1));
        Assert.False(_pool.Unpin(0, pinned.First, 1));
        Assert.Equal([pinned], _pool.GiveUp([.. asked]).Extents.ToArray());
    }

    [Fact]
    public void Upkeep_IdleLongEnough_GivesBackAndKeepsWhatGrowthNeeds()
    {
        _port.GrantAll(_pool);
        _pool.Add([TestPool.Extent(0), TestPool.Extent(1, generation: 2)]);
        _port.Time.Advance(4.9);
        _pool.Upkeep();
        Assert.Empty(_port.Requests);
        _port.Time.Advance(0.2);
        _pool.Upkeep();
        Assert.Equal(2, Assert.Single(_port.Requests.OfType<EngineProtocol.FreeExtents>()).Extents.Length);
        Assert.Equal(0, _pool.GetStats().MappedPages);
    }

    [Fact]
    public void Upkeep_PoolThatFillsUp_GrowsAheadOfNeed()
    {
        _port.GrantAll(_pool);
        _pool.Add([TestPool.Extent(0)]);
        for (var i = 0; i < 7; i++)
        {
            _pool.Upkeep();
            Allocate(1);
            _port.Time.Advance(0.05);
        }

        _pool.Upkeep();
        Assert.NotEmpty(_port.Requests.OfType<EngineProtocol.AllocatePages>());
        Assert.True(_pool.Available(0).FreeBlocks >= 8);
    }

    [Fact]
    public void Return_CoordinatorBusy_TakesTheExtentsAgain()
    {
        _pool.Add([TestPool.Extent(0)]);
        _port.Answer = request => FakePort.Refuse(request, RefusalReason.Busy);
        Assert.Equal(RefusalReason.Busy, _pool.Trim(0, 0, TimeSpan.FromSeconds(1)).Refusal?.Reason);
        Assert.Equal(1, _pool.GetStats().MappedPages);
        Assert.True(_pool.TryAllocate(0, new BlockId[8]));
    }

    [Fact]
    public void Trim_AnEarlierCoordinatorTookThemBackAlready_IsNoRefusal()
    {
        _pool.Add([TestPool.Extent(0), TestPool.Extent(1, generation: 2)]);
        _port.Answer = request => FakePort.Refuse(request, RefusalReason.StaleExtent);
        Assert.Equal(2, _pool.Trim(0, 0, TimeSpan.FromSeconds(1)).Value);

        // None may keep the other from being returned.
        Assert.Equal([2, 1, 1], _port.Requests.OfType<EngineProtocol.FreeExtents>().Select(free => free.Extents.Length));
        Assert.Equal(0, _pool.GetStats().MappedPages);
    }

    [Fact]
    public void NullBlock_IsSetAsideWithTheFirstExtentAndNeverGivenAway()
    {
        using var pool = Open(new KvPoolOptions());
        _port.GrantAll(pool);
        Assert.Null(pool.NullBlock(0));
        var block = pool.EnsureNullBlock(0, TimeSpan.FromSeconds(1)).Value;
        Assert.Equal(block, pool.NullBlock(0));
        Assert.Equal(BlockFaultKind.Foreign, pool.Free(0, [block], default).Kind);
        Assert.Equal(BlockFaultKind.Foreign, pool.Tag(0, block, [1]).Kind);
        Assert.Equal(BlockFaultKind.Foreign, pool.Cache(0, block, [1], default).Kind);
        var others = new BlockId[7];
        Assert.True(pool.TryAllocate(0, others));
        Assert.DoesNotContain(block, others);
        Assert.True(pool.Free(0, others, default).IsNone);
        Assert.True(pool.GiveUp([.. pool.Extents(0)]).IsEmpty);
    }

    [Fact]
    public void Withdraw_OnceAndForAll_RefusesEverythingAndTells()
    {
        _pool.Add([TestPool.Extent(0)]);
        var told = new List<Refusal>();
        _pool.WithdrawnByDomain += told.Add;
        var why = new Refusal(RefusalReason.UnknownPool, "It was closed.");
        _pool.Withdraw(why);
        _pool.Withdraw(new Refusal(RefusalReason.PoolLost, "Again."));
        Assert.Equal([why], told);
        Assert.Same(why, _pool.Withdrawn);
        Assert.False(_pool.TryAllocate(0, new BlockId[1]));
        Assert.Same(why, _pool.Grow(0, 1, TimeSpan.FromSeconds(1)).Refusal);
        Assert.Equal([_pool.Id], _port.Forgotten);
    }

    [Theory]
    [InlineData(0, 9)]
    [InlineData(7, 9)]
    [InlineData(12, 12)]
    public void Close_AfterFreesThatNamedSteps_CarriesTheLatestOfAll(long named, long expected)
    {
        _pool.Add([TestPool.Extent(0)]);
        var blocks = Allocate(3);
        Assert.True(_pool.Free(0, blocks.AsSpan(0, 1), new EngineStep(9)).IsNone);
        Assert.True(_pool.Free(0, blocks.AsSpan(1, 1), EngineStep.Sync).IsNone);
        Assert.True(_pool.Free(0, blocks.AsSpan(2, 1), new EngineStep(4)).IsNone);

        Assert.Null(_pool.Close(TimeSpan.FromSeconds(1), new EngineStep(named)));

        Assert.Equal(new EngineStep(expected), Assert.Single(_port.Requests.OfType<EngineProtocol.ClosePool>()).Fence);
    }

    [Fact]
    public void Group_OutOfRange_Throws() => Assert.Throws<ArgumentOutOfRangeException>(() => _pool.TryAllocate(1, new BlockId[1]));

    private KvPool Open(KvPoolOptions options)
    {
        var pool = new KvPool(TestPool.Id, TestPool.Spec(), options, _port);
        pool.TakeOver([], null);
        return pool;
    }

    private BlockId[] Allocate(int count)
    {
        var blocks = new BlockId[count];
        Assert.True(_pool.TryAllocate(0, blocks));
        return blocks;
    }

    private Extent ExtentOf(BlockId block) => _pool.Extents(0).Single(e => e.First.Value == block.Value / TestPool.BlocksPerPage);

    private void Cache(BlockId block, byte tag) => Assert.True(_pool.Cache(0, block, [tag], new EngineStep(1)).IsNone);
}
