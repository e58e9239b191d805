using CsCheck;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Tests.Paging;

/// <summary>Random histories against a model that keeps one cell per page.</summary>
public sealed class ExtentAllocatorModelTests
{
    private static readonly Gen<(int Kind, int A, int B)[]> History =
        Gen.Select(Gen.Int[0, 9], Gen.Int[0, 1 << 16], Gen.Int[0, 1 << 16]).Array[1, 80];

    [Fact]
    public void AnyHistory_NoPageTwiceAndCountsAddUp() =>
        Gen.Select(Gen.Int[1, 300], History).Sample((pageCount, history) =>
        {
            var generations = new GenerationCounter();
            var allocator = new ExtentAllocator(3, pageCount, generations);
            var owners = new uint[pageCount];
            var granted = new List<Extent>();
            var quarantined = new List<Extent>();
            var ended = new List<Extent>();
            foreach (var (kind, a, b) in history)
            {
                switch (kind)
                {
                    case < 4:
                        Allocate(allocator, owners, granted, generations, 1 + (a % Math.Max(1, pageCount / 2)), (byte)(b % 8));
                        break;
                    case < 7 when granted.Count > 0:
                        var returned = Take(granted, a);
                        Assert.Equal(ExtentFault.None, allocator.Return(returned));
                        Give(owners, returned, expected: returned.Generation, owner: 0);
                        ended.Add(returned);
                        break;
                    case 7 when granted.Count > 0:
                        var suspect = Take(granted, a);
                        Assert.Equal(ExtentFault.None, allocator.Quarantine(suspect));
                        quarantined.Add(suspect);
                        break;
                    case 8 when quarantined.Count > 0:
                        var cleared = Take(quarantined, a);
                        Assert.Equal(ExtentFault.None, allocator.Unblock(cleared));
                        Give(owners, cleared, expected: cleared.Generation, owner: 0);
                        ended.Add(cleared);
                        break;
                    case 9 when ended.Count > 0:
                        var late = ended[a % ended.Count];
                        var isTaken = Enumerable.Range(late.First.Value, late.PageCount).Any(page => owners[page] != 0);
                        Assert.Equal(isTaken ? ExtentFault.Stale : ExtentFault.NotHeld, allocator.Return(late));
                        break;
                    default:
                        break;
                }

                Assert.Equal(owners.Count(owner => owner == 0), allocator.FreePageCount);
                Assert.Equal(granted.Sum(extent => extent.PageCount), allocator.GrantedPageCount);
                Assert.Equal(quarantined.Sum(extent => extent.PageCount), allocator.QuarantinedPageCount);
                Assert.Equal(LargestFreeOrder(owners), allocator.LargestFreeOrder);
            }

            Assert.Equal(granted.OrderBy(extent => extent.First), allocator.Granted);
            var successor = new ExtentAllocator(3, pageCount, new GenerationCounter());
            Assert.Equal(ExtentsFault.None, successor.Restore([.. granted], [.. quarantined]));
            Assert.Equal((allocator.FreePageCount, allocator.LargestFreeOrder), (successor.FreePageCount, successor.LargestFreeOrder));
            Assert.Equal(allocator.Granted, successor.Granted);

            // All returned, the space is whole again.
            Assert.True(allocator.Return([.. granted]).IsNone);
            Assert.All(quarantined, extent => Assert.Equal(ExtentFault.None, allocator.Unblock(extent)));
            Assert.Equal(int.Log2(pageCount), allocator.LargestFreeOrder);
        }, iter: 400);

    [Fact]
    public void TryAllocate_SmallSpaces_FewestExtentsThatExist() =>
        Gen.Select(Gen.Int[1, 14], Gen.Int[0, (1 << 14) - 1], Gen.Int[1, 14], Gen.Byte[0, 4]).Sample((pageCount, takenMask, wanted, maxOrder) =>
        {
            var allocator = new ExtentAllocator(0, pageCount, new GenerationCounter());
            var single = allocator.TryAllocate(pageCount, 0).Extents;
            Assert.True(allocator.Return([.. single.Where(extent => (takenMask >> extent.First.Value & 1) == 0)]).IsNone);
            var freeMask = ~takenMask & ((1 << pageCount) - 1);
            var allocation = allocator.TryAllocate(wanted, maxOrder);
            Assert.Equal(int.PopCount(freeMask) >= wanted, allocation.IsGranted);
            if (allocation.IsGranted)
            {
                Assert.Equal(Fewest(freeMask, pageCount, wanted, maxOrder), allocation.Extents.Length);
            }
        }, iter: 3000);

    private static void Allocate(
        ExtentAllocator allocator, uint[] owners, List<Extent> granted, GenerationCounter generations, int wanted, byte maxOrder)
    {
        var (free, last) = (owners.Count(owner => owner == 0), generations.Last);
        var allocation = allocator.TryAllocate(wanted, maxOrder);
        Assert.Equal(free >= wanted, allocation.IsGranted);
        Assert.Equal(allocation.IsGranted ? wanted : 0, allocation.Extents.Sum(extent => extent.PageCount));
        foreach (var extent in allocation.Extents)
        {
            Assert.True(extent.IsWellFormed && extent.Group == 3 && extent.Order <= maxOrder);
            Assert.Equal(++last, extent.Generation);
            Give(owners, extent, expected: 0, owner: extent.Generation);
        }

        granted.AddRange(allocation.Extents);
    }

    private static void Give(uint[] owners, Extent extent, uint expected, uint owner)
    {
        for (var page = extent.First.Value; page < extent.EndPage; page++)
        {
            Assert.Equal(expected, owners[page]);
            owners[page] = owner;
        }
    }

    private static Extent Take(List<Extent> extents, int seed)
    {
        var extent = extents[seed % extents.Count];
        extents.RemoveAt(seed % extents.Count);
        return extent;
    }

    private static int LargestFreeOrder(uint[] owners)
    {
        var largest = -1;
        for (var order = 0; 1 << order <= owners.Length; order++)
        {
            for (var first = 0; first + (1 << order) <= owners.Length; first += 1 << order)
            {
                largest = owners.AsSpan(first, 1 << order).ContainsAnyExcept(0u) ? largest : order;
            }
        }

        return largest;
    }

    /// <summary>By trying, from the lowest page on, every extent or none.</summary>
    private static int Fewest(int freeMask, int pageCount, int wanted, byte maxOrder, int from = 0)
    {
        if (wanted == 0)
        {
            return 0;
        }

        if (wanted > int.PopCount(freeMask >> from << from))
        {
            return 1000;
        }

        var best = Fewest(freeMask, pageCount, wanted, maxOrder, from + 1);
        for (var order = 0; order <= maxOrder && 1 << order <= wanted && from % (1 << order) == 0 && from + (1 << order) <= pageCount; order++)
        {
            var mask = ((1 << (1 << order)) - 1) << from;
            if ((freeMask & mask) == mask)
            {
                best = Math.Min(best, 1 + Fewest(freeMask, pageCount, wanted - (1 << order), maxOrder, from + (1 << order)));
            }
        }

        return best;
    }
}
