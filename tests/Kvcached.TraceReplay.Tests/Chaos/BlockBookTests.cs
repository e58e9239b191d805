using System.Globalization;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;
using Kvcached.TraceReplay.Chaos.Engines;

namespace Kvcached.TraceReplay.Tests.Chaos;

/// <summary>What an engine must own, and what its scheduler's successor is told to do about what it found.</summary>
public sealed class BlockBookTests
{
    private readonly BlockBook _book = new();

    [Fact]
    public void Blocks_GoFromGrantedToTakenToReleasedToFreed()
    {
        Grant(10, 11, 12);
        var taken = Take(2);
        _book.Wrote(taken.Select(block => new StampedBlock(block, 1, true)));
        Assert.Equal((1, 2, 2), (_book.FreeCount, _book.UsedCount, _book.Stamped.Length));

        Assert.True(_book.Release(taken[0]));
        Assert.False(_book.Release(taken[0]));
        Assert.Equal((1, 1, 1), (_book.UsedCount, _book.ReleasedCount, _book.Stamped.Length));

        Assert.Equal([taken[0].Value], _book.BeginFreeing());
        Assert.False(_book.Release(taken[0]));
        _book.Freed();
        Assert.Equal((1, 1, 0), (_book.FreeCount, _book.UsedCount, _book.ReleasedCount));
        Assert.False(_book.TryTake(new BlockId[2]));
    }

    [Fact]
    public void Granted_BlockThatIsOwned_IsSaidToHaveTwoOwners()
    {
        Grant(10, 11);
        _book.BeginAllocation(2);

        Assert.Equal([11], _book.Granted([11, 12]).AsEnumerable());
    }

    [Fact]
    public void TakeOver_AllThere_KeepsAll()
    {
        Grant(10, 11);
        Take(1);

        var plan = _book.TakeOver(Found((0, 10), (1, 11)));

        Assert.Equal([10, 11], plan.Kept.Order());
        Assert.Empty(plan.Surplus);
        Assert.Empty(plan.Missing);
        Assert.Empty(plan.Foreign);
    }

    [Fact]
    public void TakeOver_BlockGoneOrTagOnAnother_IsToldApart()
    {
        Grant(10, 11, 12);

        var plan = _book.TakeOver(Found((0, 10), (1, 12)));

        Assert.Equal([10], plan.Kept.AsEnumerable());
        Assert.Equal([11, 12], plan.Missing.Order());
        Assert.Single(plan.Foreign);
    }

    [Fact]
    public void TakeOver_InMidAllocation_WhatWasAllocatedIsFreed()
    {
        Grant(10);
        _book.BeginAllocation(3);

        var plan = _book.TakeOver(Found((0, 10), (1, 20), (2, 21)));

        Assert.Equal([10], plan.Kept.AsEnumerable());
        Assert.Equal([20, 21], plan.Surplus.Order());
        Assert.Empty(plan.Missing);
        Assert.Empty(plan.Foreign);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void TakeOver_InMidFree_EitherOutcomeIsRight(bool wasCarriedOut)
    {
        Grant(10, 11);
        _book.Release(Take(1)[0]);
        var leaving = Assert.Single(_book.BeginFreeing());
        var staying = leaving == 10 ? 11 : 10;

        var plan = _book.TakeOver(wasCarriedOut ? Found((staying - 10, staying)) : Found((0, 10), (1, 11)));

        Assert.Equal([staying], plan.Kept.AsEnumerable());
        Assert.Equal(wasCarriedOut ? [] : [leaving], plan.Surplus.AsEnumerable());
        Assert.Empty(plan.Missing);
        Assert.Equal(1, _book.FreeCount + _book.UsedCount);
    }

    [Fact]
    public void Clear_Everything_IsGone()
    {
        Grant(10, 11);
        _book.Wrote([new StampedBlock(Take(1)[0], 1, true)]);

        _book.Clear();

        Assert.Equal((0, 0, 0, 0), (_book.FreeCount, _book.UsedCount, _book.ReleasedCount, _book.Stamped.Length));
        Assert.Empty(_book.TakeOver(Found()).Missing);
    }

    private static Dictionary<string, int> Found(params (long Tag, int Block)[] tags) =>
        tags.ToDictionary(tag => tag.Tag.ToString(CultureInfo.InvariantCulture), tag => tag.Block);

    private void Grant(params int[] blocks)
    {
        _book.BeginAllocation(blocks.Length);
        Assert.Empty(_book.Granted(blocks));
    }

    private BlockId[] Take(int count)
    {
        var blocks = new BlockId[count];
        Assert.True(_book.TryTake(blocks));
        return blocks;
    }
}
