using Kvcached.Core.Checking;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Copier.Tests.Checking;

public sealed class StampLaneTests
{
    [Theory]
    [InlineData(KvLayout.Contiguous)]
    [InlineData(KvLayout.Grouped)]
    [InlineData(KvLayout.PerLayer)]
    public void Of_EveryLayout_AgreesWithTheArena(KvLayout layout)
    {
        var arena = ArenaLayout.Create(TestPool.GeometryOf(layout), 0);
        for (var group = 0; group < arena.GroupCount; group++)
        {
            var lanes = StampLane.Of(arena, group);
            var shape = arena.ShapeOf(group);
            Assert.Equal(shape.LayerCount * shape.BufferCount, lanes.Length);
            Assert.Equal(lanes.OrderBy(l => l.Layer).ThenBy(l => l.Buffer), lanes);
            Assert.All(
                lanes,
                lane => Assert.All(
                    new[] { 0, 1, 7 },
                    block => Assert.Equal(arena.OffsetOf(group, new BlockId(block), lane.Layer, lane.Buffer), lane.OffsetOf(new BlockId(block)))));
        }
    }
}
