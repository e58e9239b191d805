using Kvcached.Client.Tests.Support;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Tests.Pools;

/// <summary>A scheduler ends without a word, and another takes its pool over by the journal.</summary>
public sealed class TakeOverTests : IDisposable
{
    private readonly FakePort _port = new();
    private readonly List<KvPool> _pools = [];

    public void Dispose() => _pools.ForEach(p => p.Dispose());

    [Fact]
    public void TakeOver_TaggedBlocks_AreCachedAndAllOthersFree()
    {
        var first = Open([TestPool.Extent(0), TestPool.Extent(1, generation: 2)], null);
        var blocks = new BlockId[12];
        Assert.True(first.TryAllocate(0, blocks));
        Assert.True(first.Cache(0, blocks[2], [1, 2, 3], new EngineStep(5)).IsNone);
        Assert.True(first.Tag(0, blocks[4], [4]).IsNone);
        Assert.True(first.Tag(0, blocks[5], [5]).IsNone);
        Assert.True(first.Free(0, [blocks[5]], default).IsNone);
        Assert.True(first.Cache(0, blocks[6], [6], default).IsNone);
        Assert.True(first.Evict(0, [blocks[6]]).IsNone);
        Assert.True(first.Tag(0, blocks[7], [7]).IsNone);
        Assert.True(first.Tag(0, blocks[7], [77]).IsNone);

        using var journal = JournalOf(first);
        var second = Open([TestPool.Extent(0), TestPool.Extent(1, generation: 2)], journal);
        var tagged = second.EnumerateTagged(0).OrderBy(t => t.Block.Value).Select(t => (t.Block, Tag: string.Join(',', t.Tag), t.IsCached)).ToArray();
        Assert.Equal([(blocks[2], "1,2,3", true), (blocks[4], "4", true), (blocks[7], "77", true)], tagged);
        Assert.Equal(13, second.Available(0).FreeBlocks);
        Assert.True(second.TakeCached(0, [blocks[2]]).IsNone);
    }

    [Fact]
    public void TakeOver_ExtentOfAnotherGeneration_RestoresNothingOfIt()
    {
        var first = Open([TestPool.Extent(0)], null);
        var blocks = new BlockId[1];
        Assert.True(first.TryAllocate(0, blocks));
        Assert.True(first.Cache(0, blocks[0], [1], default).IsNone);
        using var journal = JournalOf(first);
        Assert.Empty(Open([TestPool.Extent(0, generation: 2)], journal).EnumerateTagged(0));
    }

    [Fact]
    public void TakeOver_OfASuccessor_StillHasTheTags()
    {
        var first = Open([TestPool.Extent(0)], null);
        var blocks = new BlockId[1];
        Assert.True(first.TryAllocate(0, blocks));
        Assert.True(first.Cache(0, blocks[0], [1], default).IsNone);
        using var journal = JournalOf(first);
        using var next = JournalOf(Open([TestPool.Extent(0)], journal));
        Assert.Single(Open([TestPool.Extent(0)], next).EnumerateTagged(0));
    }

    [Fact]
    public void TakeOver_FileThatIsNoJournal_RestoresNothing()
    {
        using var file = File.OpenHandle("/dev/zero");
        var pool = Open([TestPool.Extent(0)], file);
        Assert.Empty(pool.EnumerateTagged(0));
        Assert.Equal(8, pool.Available(0).FreeBlocks);
    }

    [Fact]
    public void TakeOver_WhatThePredecessorUsed_LeavesOnlyAfterAllSubmittedWork()
    {
        var pool = Open([TestPool.Extent(0)], null);
        Assert.Equal(EngineStep.Sync, pool.GiveUp([TestPool.Extent(0)]).Fence);
        pool.Add([TestPool.Extent(0, generation: 2)]);
        Assert.Equal(EngineStep.None, pool.GiveUp([TestPool.Extent(0, generation: 2)]).Fence);
    }

    private static SafeFileHandle JournalOf(KvPool pool) => UnixMessageChannel.Duplicate(pool.Journal!.Value.Descriptor);

    private KvPool Open(Extent[] extents, SafeFileHandle? journal)
    {
        var pool = new KvPool(TestPool.Id, TestPool.Spec(), new KvPoolOptions { HasNullBlock = false }, _port);
        pool.TakeOver([.. extents], journal);
        _pools.Add(pool);
        _port.GrantAll(pool);
        return pool;
    }
}
