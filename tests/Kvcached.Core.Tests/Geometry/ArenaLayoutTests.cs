using CsCheck;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Tests.Geometry;

public sealed class ArenaLayoutTests
{
    [Fact]
    public void Create_RealShapes_RegionsFollowEachOtherAndCoverEveryLayerAndBuffer()
    {
        foreach (var (title, geometry) in Shapes.All)
        {
            for (var rank = 0; rank < geometry.Ranks.Length; rank++)
            {
                var arena = ArenaLayout.Create(geometry, rank);
                var end = 0L;
                foreach (var unit in arena.Units)
                {
                    Assert.True(unit.ArenaOffset == end && end % Shapes.Granularity == 0, title);
                    Assert.Equal(0, unit.BytesPerPage % Shapes.Granularity);
                    end += unit.ByteCount;
                }

                Assert.Equal(end, arena.ByteCount);
                for (var group = 0; group < geometry.GroupCount; group++)
                {
                    var shape = arena.ShapeOf(group);
                    var covered = arena.UnitsOf(group).SelectMany(unit =>
                        from layer in Enumerable.Range(unit.FirstLayer, unit.LayerCount)
                        from buffer in Enumerable.Range(unit.FirstBuffer, unit.BufferCount)
                        select (layer, buffer)).ToList();
                    Assert.Equal(shape.LayerCount * shape.BufferCount, covered.Count);
                    Assert.Equal(covered.Count, covered.Distinct().Count());
                }
            }
        }
    }

    [Fact]
    public void OffsetOf_DistinctBlockLayerBuffer_NeverOverlaps() =>
        Gen.Select(Shapes.Gen, Gen.Int[0, 1000], Gen.Int[0, 1 << 20]).Sample(
            (geometry, rankSeed, pageSeed) =>
        {
            var arena = ArenaLayout.Create(geometry, rankSeed % geometry.Ranks.Length);
            var ranges = new List<(long Start, long End)>();
            for (var group = 0; group < geometry.GroupCount; group++)
            {
                var shape = arena.ShapeOf(group);
                var slots = geometry.SlotsOf(group);
                var page = new PageId(pageSeed % (geometry.VirtualPageCounts[group] - 1));

                // The last usable block of a page and the first of the next, where a wrong stride would show.
                var blocks = new[] { slots.EndBlockOf(page) - 1, slots.FirstBlockOf(new PageId(page.Value + 1)) }.Distinct();
                foreach (var block in blocks)
                {
                    for (var layer = 0; layer < shape.LayerCount; layer++)
                    {
                        for (var buffer = 0; buffer < shape.BufferCount; buffer++)
                        {
                            var start = arena.OffsetOf(group, new BlockId(block), layer, buffer);
                            ranges.Add((start, start + shape.BlockBytes));
                        }
                    }
                }
            }

            ranges.Sort();
            Assert.True(ranges[0].Start >= 0 && ranges[^1].End <= arena.ByteCount);
            for (var i = 1; i < ranges.Count; i++)
            {
                Assert.True(ranges[i - 1].End <= ranges[i].Start);
            }
        }, iter: 400);

    [Fact]
    public void OffsetOf_UsableBlockOfAnExtent_LiesInTheExtentsMappings() =>
        Gen.Select(Shapes.Gen, Gen.Int[0, 1000], Gen.Byte[0, 6], Gen.Int[0, 1 << 20], Gen.Int[0, 1 << 20]).Sample(
            (geometry, groupSeed, order, pageSeed, blockSeed) =>
        {
            var group = groupSeed % geometry.GroupCount;
            var rank = groupSeed % geometry.Ranks.Length;
            var arena = ArenaLayout.Create(geometry, rank);
            var shape = arena.ShapeOf(group);
            var slots = geometry.SlotsOf(group);
            order = (byte)Math.Min(order, int.Log2(geometry.VirtualPageCounts[group]));
            var extent = new Extent(group, new PageId(pageSeed % (geometry.VirtualPageCounts[group] >> order) << order), order, 1);
            var page = new PageId(extent.First.Value + (blockSeed % extent.PageCount));
            var block = slots.FirstBlockOf(page) + (blockSeed % slots.BlockCountOf(page));
            Assert.Equal(arena.BytesOf(extent), arena.UnitsOf(group).Sum(unit => unit.BytesOf(extent)));
            for (var layer = 0; layer < shape.LayerCount; layer++)
            {
                for (var buffer = 0; buffer < shape.BufferCount; buffer++)
                {
                    var start = arena.OffsetOf(group, new BlockId(block), layer, buffer);
                    var unit = arena.UnitsOf(group).Single(u => start >= u.ArenaOffset && start < u.ArenaOffset + u.ByteCount);
                    Assert.True(start >= unit.OffsetOf(extent));
                    Assert.True(start + shape.BlockBytes <= unit.OffsetOf(extent) + unit.BytesOf(extent));

                    // Even within the page, so that an extent may be of any order.
                    Assert.Equal(page.Value, (start - unit.ArenaOffset) / unit.BytesPerPage);
                    Assert.Equal(page.Value, (start + shape.BlockBytes - 1 - unit.ArenaOffset) / unit.BytesPerPage);
                }
            }
        }, iter: 400);

    [Fact]
    public void UnitsOf_Layouts_AsManyAsMappingsPerExtent()
    {
        var model = ModelCatalogue.GptOss20B;
        var request = new GeometryRequest { Gpus = Shapes.Gpus(1), VirtualBytesPerGroup = 1L << 36 };
        int Count(KvLayout layout, int layers) =>
            ArenaLayout.Create(Shapes.Build(model, request with { Layout = layout, LayersPerMapping = layers }), 0).UnitsOf(0).Length;
        Assert.Equal(1, Count(KvLayout.Contiguous, 0));
        Assert.Equal(3, Count(KvLayout.Grouped, 5));
        Assert.Equal(1, Count(KvLayout.Grouped, 100));
        Assert.Equal(24, Count(KvLayout.PerLayer, 0));
    }

    [Fact]
    public void OffsetOf_LayerOrBufferThatDoesntExist_Throws()
    {
        var arena = ArenaLayout.Create(Shapes.All[0].Geometry, 0);
        Assert.Throws<ArgumentOutOfRangeException>(() => arena.OffsetOf(0, new BlockId(0), 32, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => arena.OffsetOf(0, new BlockId(0), -1, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => arena.OffsetOf(0, new BlockId(0), 0, 2));
    }
}
