using CsCheck;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Tests.Paging;

public sealed class PageTableTests
{
    private static readonly Gen<Extent> AnyExtent = Gen.Select(Gen.Int[0, 2], Gen.Int[0, 63], Gen.Byte[0, 4], Gen.UInt[1, 5])
        .Select((group, first, order, generation) => new Extent(group, new PageId(first >> order << order), order, generation));

    private static LayoutDigest Recompute(IEnumerable<Extent> extents) =>
        extents.Aggregate(LayoutDigest.Empty, (digest, extent) => digest.With(extent));

    [Fact]
    public void AnyHistory_AsInAModelAndDigestFollows() =>
        Gen.Select(Gen.Bool, AnyExtent).Array[0, 120].Sample(history =>
        {
            var table = new PageTable([64, 40, 1]);
            var counts = new[] { 64, 40, 1 };
            var model = new HashSet<Extent>();
            foreach (var (isAdded, extent) in history)
            {
                var isInside = extent.EndPage <= counts[extent.Group];
                var overlaps = model.Any(other => other.Overlaps(extent));
                if (isAdded)
                {
                    var expected = !isInside ? ExtentFault.Malformed : overlaps ? ExtentFault.Overlaps : ExtentFault.None;
                    Assert.Equal(expected, table.Add(extent));
                    _ = expected == ExtentFault.None && model.Add(extent);
                }
                else
                {
                    var expected = !isInside ? ExtentFault.Malformed : model.Contains(extent) ? ExtentFault.None
                        : overlaps ? ExtentFault.Stale : ExtentFault.NotHeld;
                    Assert.Equal(expected, table.Remove(extent));
                    model.Remove(extent);
                }

                Assert.Equal(Recompute(model), table.Digest);
                Assert.Equal(model.Contains(extent), table.Contains(extent));
            }

            Assert.Equal(model.OrderBy(extent => extent.Group).ThenBy(extent => extent.First), table.Enumerate());
            Assert.Equal(model.Count, table.ExtentCount);
            for (var group = 0; group < 3; group++)
            {
                Assert.Equal(model.Where(extent => extent.Group == group).Sum(extent => extent.PageCount), table.PageCountOf(group));
                for (var page = -1; page <= counts[group]; page++)
                {
                    var owner = model.SingleOrDefault(extent => extent.Group == group && extent.First.Value <= page && page < extent.EndPage);
                    Assert.Equal(owner != default, table.TryFind(group, new PageId(page), out var found));
                    Assert.Equal(owner != default ? owner : found, found);
                }
            }

            foreach (var extent in model)
            {
                Assert.Equal(ExtentFault.None, table.Remove(extent));
            }

            Assert.Equal(LayoutDigest.Empty, table.Digest);
        }, iter: 300);

    [Fact]
    public void Digest_AnyOrder_TheSame() =>
        AnyExtent.Array[0, 30].Sample(extents =>
        {
            var distinct = extents.Distinct().ToArray();
            Assert.Equal(Recompute(distinct), Recompute(distinct.Reverse()));
            Assert.Equal(LayoutDigest.Empty, distinct.Aggregate(Recompute(distinct), (digest, extent) => digest.Without(extent)));
        });

    [Fact]
    public void Digest_SmallDifferences_NeverTheSame()
    {
        // All extents of three groups of 64 pages in 8 generations, alone and in pairs.
        var digests = new HashSet<LayoutDigest> { LayoutDigest.Empty };
        var extents = (
            from @group in Enumerable.Range(0, 3)
            from order in Enumerable.Range(0, 4)
            from first in Enumerable.Range(0, 16 >> order)
            from generation in Enumerable.Range(1, 8)
            select new Extent(@group, new PageId(first << order), (byte)order, (uint)generation)).ToArray();
        for (var i = 0; i < extents.Length; i++)
        {
            Assert.True(digests.Add(LayoutDigest.Empty.With(extents[i])));
            for (var j = 0; j < i; j++)
            {
                Assert.True(digests.Add(LayoutDigest.Empty.With(extents[i]).With(extents[j])));
            }
        }
    }

    [Fact]
    public void Digest_WrittenAndRead_TheSame()
    {
        var digest = LayoutDigest.Empty.With(new Extent(1, new PageId(4), 2, 3));
        var bytes = new byte[LayoutDigest.ByteCount];
        digest.Write(bytes);
        Assert.Equal(digest, LayoutDigest.Read(bytes));
        Assert.Equal(32, digest.ToString().Length);
    }

    [Fact]
    public void Install_BadSnapshot_TableAsItWas()
    {
        var table = new PageTable([16]);
        Extent old = new(0, new PageId(0), 2, 1), first = new(0, new PageId(8), 2, 2), second = new(0, new PageId(9), 0, 3);
        Assert.Equal(ExtentFault.None, table.Add(old));
        var digest = table.Digest;
        Assert.Equal(new ExtentsFault(ExtentFault.Overlaps, 1), table.Install([first, second]));
        Assert.Equal([old], table.Enumerate());
        Assert.Equal(digest, table.Digest);
        Assert.Equal(ExtentsFault.None, table.Install([first]));
        Assert.Equal([first], table.Enumerate());
        Assert.Equal(LayoutDigest.Empty.With(first), table.Digest);
    }

    [Fact]
    public void Add_ForeignOrMalformed_Refused()
    {
        var table = new PageTable([16]);
        Assert.Equal(ExtentFault.Foreign, table.Add(new Extent(1, new PageId(0), 0, 1)));
        Assert.Equal(ExtentFault.Foreign, table.Remove(new Extent(-1, new PageId(0), 0, 1)));
        Assert.Equal(ExtentFault.Malformed, table.Add(new Extent(0, new PageId(1), 1, 1)));
        Assert.Equal(ExtentFault.Malformed, table.Add(new Extent(0, new PageId(-2), 1, 1)));
        Assert.False(table.TryFind(7, new PageId(0), out _));
        Assert.Equal(LayoutDigest.Empty, table.Digest);
    }
}
