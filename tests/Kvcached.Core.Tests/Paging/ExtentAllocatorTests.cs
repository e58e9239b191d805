using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Tests.Paging;

public sealed class ExtentAllocatorTests
{
    private readonly GenerationCounter _generations = new();

    private ExtentAllocator Allocator(int pageCount, int group = 0) => new(group, pageCount, _generations);

    private static Extent Only(ExtentAllocation allocation)
    {
        Assert.True(allocation.IsGranted);
        return Assert.Single(allocation.Extents);
    }

    [Fact]
    public void TryAllocate_EmptySpace_OneExtentUpToTheCap()
    {
        var allocator = Allocator(1024);
        Assert.Equal(new Extent(0, new PageId(0), 6, 1), Only(allocator.TryAllocate(64, 6)));
        Assert.Equal([5, 5], allocator.TryAllocate(64, 5).Extents.Select(extent => (int)extent.Order));
        Assert.Equal([3, 2, 0], allocator.TryAllocate(13, 6).Extents.Select(extent => (int)extent.Order));
    }

    [Theory]
    [InlineData(6)]
    [InlineData(1947)]
    public void TryAllocate_NothingGranted_BeginsWithPage0ThoughASmallerRunFits(int virtualPageCount)
    {
        var allocator = Allocator(virtualPageCount);
        var first = Only(allocator.TryAllocate(1, 0));
        Assert.Equal(new PageId(0), first.First);
        Assert.Equal(ExtentFault.None, allocator.Return(first));
        Assert.Equal(new PageId(0), allocator.TryAllocate(2, 6).Extents[0].First);
    }

    [Fact]
    public void TryAllocate_Fragmented_SmallerExtentsThenRefusedBelowTheSmallestOrder()
    {
        var allocator = Allocator(16);
        var single = allocator.TryAllocate(16, 0).Extents;
        Assert.True(allocator.Return([.. single.Where(extent => extent.First.Value % 2 == 0)]).IsNone);
        Assert.Equal(ExtentRefusal.Fragmented, allocator.TryAllocate(4, 6, minOrder: 1).Refusal);
        Assert.Equal(8, allocator.FreePageCount);
        var pieces = allocator.TryAllocate(4, 6);
        Assert.Equal([0, 2, 4, 6], pieces.Extents.Select(extent => extent.First.Value));
        Assert.Equal((4, 0), (pieces.FreePageCount, pieces.LargestFreeOrder));
    }

    [Fact]
    public void TryAllocate_SeveralRunsFit_TakesTheSmallestThenTheLowest()
    {
        var allocator = Allocator(64);
        var all = allocator.TryAllocate(64, 3).Extents;
        Assert.True(allocator.Return([all[1], all[4], all[5]]).IsNone);

        // The lone run of 8 is used up before the run of 16 is split.
        Assert.Equal(all[1].First, Only(allocator.TryAllocate(8, 6)).First);
        Assert.Equal(all[4].First, Only(allocator.TryAllocate(8, 6)).First);
    }

    [Theory]
    [InlineData(0, 3, 0)]
    [InlineData(-1, 3, 0)]
    [InlineData(4, 3, 4)]
    [InlineData(6, 3, 2)]
    [InlineData(4, 31, 0)]
    public void TryAllocate_BadRequest_Refused(int pageCount, byte maxOrder, byte minOrder) =>
        Assert.Equal(ExtentRefusal.BadRequest, Allocator(64).TryAllocate(pageCount, maxOrder, minOrder).Refusal);

    [Fact]
    public void TryAllocate_MoreThanFree_RefusedWithFacts()
    {
        var allocator = Allocator(10);
        var refused = allocator.TryAllocate(11, 6);
        Assert.Equal((ExtentRefusal.NotEnoughPages, 10, 3), (refused.Refusal, refused.FreePageCount, refused.LargestFreeOrder));
        Assert.Empty(refused.Extents);
        Assert.True(allocator.TryAllocate(10, 6).IsGranted);
        Assert.Equal(-1, allocator.LargestFreeOrder);
        Assert.Equal(0u, _generations.Last - 2);
    }

    [Fact]
    public void TryAllocate_GenerationsExhausted_RefusedAndNothingTaken()
    {
        var allocator = Allocator(8);
        _generations.RaiseTo(uint.MaxValue - 1);
        Assert.Equal(ExtentRefusal.GenerationsExhausted, allocator.TryAllocate(3, 6).Refusal);
        Assert.Equal((8, 3), (allocator.FreePageCount, allocator.LargestFreeOrder));
        Assert.Equal(uint.MaxValue, Only(allocator.TryAllocate(8, 6)).Generation);
    }

    [Fact]
    public void Return_Twice_NotHeld()
    {
        var allocator = Allocator(8);
        var extent = Only(allocator.TryAllocate(4, 6));
        Assert.Equal(ExtentFault.None, allocator.Return(extent));
        Assert.Equal(ExtentFault.NotHeld, allocator.Return(extent));
        Assert.Equal(8, allocator.FreePageCount);
    }

    [Fact]
    public void Return_GrantedAnew_Stale()
    {
        var allocator = Allocator(8);
        var first = Only(allocator.TryAllocate(4, 6));
        allocator.Return(first);
        var second = Only(allocator.TryAllocate(4, 6));
        Assert.Equal(first.First, second.First);
        Assert.Equal(ExtentFault.Stale, allocator.Return(first));
        Assert.Equal(ExtentFault.Stale, allocator.Return(second with { Order = 1 }));
        Assert.Equal(ExtentFault.None, allocator.Return(second));
    }

    [Fact]
    public void Return_ForeignOrMalformed_Refused()
    {
        var allocator = Allocator(8, group: 1);
        var extent = Only(allocator.TryAllocate(4, 6));
        Assert.Equal(ExtentFault.Foreign, allocator.Return(extent with { Group = 0 }));
        Assert.Equal(ExtentFault.Foreign, allocator.Return(extent with { Generation = 7 }));
        Assert.Equal(ExtentFault.Foreign, allocator.Return(extent with { Generation = 0 }));
        Assert.Equal(ExtentFault.Malformed, allocator.Return(extent with { First = new PageId(1) }));
        Assert.Equal(ExtentFault.Malformed, allocator.Return(extent with { First = new PageId(8) }));
        Assert.Equal(ExtentFault.Malformed, allocator.Return(extent with { Order = 40 }));
        Assert.Equal(4, allocator.GrantedPageCount);
    }

    [Fact]
    public void Return_SeveralWithOneBad_NoneReturned()
    {
        var allocator = Allocator(8);
        var extents = allocator.TryAllocate(6, 1).Extents;
        Assert.Equal(new ExtentsFault(ExtentFault.NotHeld, 3), allocator.Return([.. extents, extents[0]]));
        Assert.Equal(6, allocator.GrantedPageCount);
        Assert.Equal(ExtentsFault.None, allocator.Return([.. extents]));
        Assert.Equal(3, allocator.LargestFreeOrder);
    }

    [Fact]
    public void Quarantine_UntilUnblocked_PagesAreNotHandedOut()
    {
        var allocator = Allocator(8);
        var extent = Only(allocator.TryAllocate(4, 6));
        Assert.Equal(ExtentFault.None, allocator.Quarantine(extent));
        Assert.Equal(ExtentFault.Quarantined, allocator.Return(extent));
        Assert.Equal(ExtentFault.Quarantined, allocator.Quarantine(extent));
        Assert.Equal((4, 0, 4), (allocator.FreePageCount, allocator.GrantedPageCount, allocator.QuarantinedPageCount));
        Assert.Equal(ExtentRefusal.NotEnoughPages, allocator.TryAllocate(5, 6).Refusal);
        Assert.Equal(ExtentFault.Stale, allocator.Unblock(extent with { Generation = 9 }));
        Assert.Equal(ExtentFault.None, allocator.Unblock(extent));
        Assert.Equal(ExtentFault.NotHeld, allocator.Unblock(extent));
        Assert.Equal(3, allocator.LargestFreeOrder);
    }

    [Fact]
    public void Block_FreePagesOnly()
    {
        var allocator = Allocator(8);
        var granted = Only(allocator.TryAllocate(2, 6));
        Assert.Equal(ExtentFault.Overlaps, allocator.Block(granted with { Order = 2 }));
        var blocked = new Extent(0, new PageId(4), 1, 77);
        Assert.Equal(ExtentFault.None, allocator.Block(blocked));
        Assert.Equal(ExtentFault.Overlaps, allocator.Block(blocked));
        Assert.Equal([blocked], allocator.Quarantined);
        Assert.Equal(4, allocator.FreePageCount);
    }

    [Fact]
    public void Restore_TableOfRanks_GoesOnAboveItsGenerations()
    {
        var allocator = Allocator(32);
        allocator.TryAllocate(20, 6);
        Extent granted = new(0, new PageId(8), 3, 40), quarantined = new(0, new PageId(4), 0, 39);
        Assert.Equal(ExtentsFault.None, allocator.Restore([granted], [quarantined]));
        Assert.Equal([granted], allocator.Granted);
        Assert.Equal([quarantined], allocator.Quarantined);
        Assert.Equal(32 - 9, allocator.FreePageCount);
        Assert.Equal(new Extent(0, new PageId(16), 4, 41), Only(allocator.TryAllocate(16, 6)));
    }

    [Fact]
    public void Restore_OverlappingTable_RefusedAndUnchanged()
    {
        var allocator = Allocator(32);
        var before = Only(allocator.TryAllocate(16, 6));
        Extent first = new(0, new PageId(8), 3, 40), second = new(0, new PageId(12), 1, 39);
        Assert.Equal(new ExtentsFault(ExtentFault.Overlaps, 1), allocator.Restore([first], [second]));
        Assert.Equal(new ExtentsFault(ExtentFault.Malformed, 0), allocator.Restore([first with { First = new PageId(9) }], []));
        Assert.Equal(new ExtentsFault(ExtentFault.Foreign, 0), allocator.Restore([first with { Group = 1 }], []));
        Assert.Equal([before], allocator.Granted);
        Assert.Equal(1u, _generations.Last);
    }
}
