using CsCheck;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Pools;

namespace Kvcached.Gpu.Tests.Pools;

public sealed class ExtentIndexTests
{
    private const int PageCount = 64;

    [Fact]
    public void Index_RandomExtents_AgreesWithATableOfPages() =>
        Gen.Select(Gen.Int[0, 1], Gen.Int[0, PageCount - 1], Gen.Int[0, 4], Gen.Bool).Array[1, 60].Sample(
            steps =>
            {
                var index = new ExtentIndex(2);
                var pages = new Extent?[2, PageCount];
                foreach (var (group, page, order, isAdding) in steps)
                {
                    var extent = new Extent(group, new PageId(page >> order << order), (byte)order, 1);
                    var ids = Enumerable.Range(extent.First.Value, extent.PageCount).ToList();
                    if (isAdding)
                    {
                        var isFree = ids.All(p => pages[group, p] is null);
                        Assert.Equal(isFree, index.TryAdd(extent, out var owner));
                        Assert.True(isFree || ids.Any(p => pages[group, p] == owner));
                        ids.Where(_ => isFree).ToList().ForEach(p => pages[group, p] = extent);
                    }
                    else if (pages[group, page] is { } taken)
                    {
                        index.Remove(taken);
                        Enumerable.Range(taken.First.Value, taken.PageCount).ToList().ForEach(p => pages[group, p] = null);
                    }

                    for (var p = 0; p < PageCount; p++)
                    {
                        Assert.Equal(pages[group, p], index.TryFind(group, new PageId(p), out var found) ? found : null);
                    }
                }
            },
            iter: 300, threads: 1);
}
