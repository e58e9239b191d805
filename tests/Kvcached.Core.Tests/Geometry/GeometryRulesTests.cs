using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;

namespace Kvcached.Core.Tests.Geometry;

public sealed class GeometryRulesTests
{
    private static readonly KvGroupShape Full = KvGroupShapes.MultiHead("full", 4, 8, 128, 16, 2, 2 * ByteSize.MiB);
    private static readonly KvGroupShape State = KvGroupShapes.State("state", 4, ByteSize.MiB, 2 * ByteSize.MiB);

    private static PoolGeometry Sound() => new(
        KvLayout.Contiguous, 0, [100, 50], [.. Shapes.Gpus(2).Select(gpu => new RankShape(gpu, [Full, State]))]);

    public static TheoryData<string, PoolGeometry> Broken()
    {
        var sound = Sound();
        PoolGeometry WithGroup(int rank, int group, KvGroupShape shape) => sound with
        {
            Ranks = sound.Ranks.SetItem(rank, sound.Ranks[rank] with { Groups = sound.Ranks[rank].Groups.SetItem(group, shape) }),
        };
        PoolGeometry OnBoth(KvGroupShape shape) => sound with { Ranks = [.. sound.Ranks.Select(rank => rank with { Groups = rank.Groups.SetItem(0, shape) })] };
        return new()
        {
            { "layout", sound with { Layout = (KvLayout)9 } },
            { "KV groups", sound with { VirtualPageCounts = default } },
            { "KV groups", sound with { VirtualPageCounts = [1] } },
            { "ranks", sound with { Ranks = [] } },
            { "Layers per mapping", sound with { LayersPerMapping = 1 } },
            { "Layers per mapping", sound with { Layout = KvLayout.Grouped, LayersPerMapping = int.MaxValue } },
            { "virtual pages", sound with { VirtualPageCounts = [100, 0] } },
            { "virtual pages", sound with { VirtualPageCounts = [100, int.MaxValue] } },
            { "names no GPU", sound with { Ranks = sound.Ranks.SetItem(1, new RankShape(default, sound.Ranks[1].Groups)) } },
            { "both name", sound with { Ranks = [sound.Ranks[0], sound.Ranks[0]] } },
            { "disagree", WithGroup(1, 0, Full with { TokensPerBlock = 32 }) },
            { "disagree", WithGroup(1, 0, Full with { PageBytes = 4 * ByteSize.MiB }) },
            { "both named", OnBoth(Full with { Name = "state" }) },
            { "no name", OnBoth(Full with { Name = new string('x', 65) }) },
            { "kind", OnBoth(Full with { Kind = 0 }) },
            { "layers", OnBoth(Full with { LayerCount = 0 }) },
            { "buffers", OnBoth(Full with { BufferCount = 17 }) },
            { "a state has 0", OnBoth(Full with { TokensPerBlock = 0 }) },
            { "granularity", OnBoth(Full with { PageBytes = ByteSize.MiB }) },
            { "granularity", OnBoth(Full with { PageBytes = -2 * ByteSize.MiB }) },
            { "at most a page", OnBoth(Full with { BlockBytes = (2 * ByteSize.MiB) + 1 }) },
            { "at least 1 byte", OnBoth(Full with { BlockBytes = -1 }) },
            { "no whole block", OnBoth(Full with { BlockBytes = (2 * ByteSize.MiB) - 1 }) },
            { "block ids", OnBoth(Full with { BlockBytes = 1 }) },
            { "virtual bytes", OnBoth(Full with { LayerCount = 4096 }) with { VirtualPageCounts = [1 << 19, 1] } },
            { "mappings per page id", OnBoth(Full with { LayerCount = 4096 }) with { Layout = KvLayout.PerLayer } },
        };
    }

    [Fact]
    public void FindProblem_SoundGeometry_None() => Assert.Null(GeometryRules.FindProblem(Sound(), Shapes.Granularity));

    [Theory]
    [MemberData(nameof(Broken))]
    public void FindProblem_BrokenGeometry_NamesTheRule(string expected, PoolGeometry geometry) =>
        Assert.Contains(expected, GeometryRules.FindProblem(geometry, Shapes.Granularity), StringComparison.Ordinal);

    [Fact]
    public void FindProblem_PipelineStages_MayDifferInLayers()
    {
        var sound = Sound();
        var ranks = sound.Ranks.SetItem(1, sound.Ranks[1] with { Groups = [Full with { LayerCount = 7 }, State] });
        Assert.Null(GeometryRules.FindProblem(sound with { Ranks = ranks }, Shapes.Granularity));
    }

    [Fact]
    public void Equals_SameContent_Equal()
    {
        Assert.Equal(Sound(), Sound());
        Assert.Equal(Sound().GetHashCode(), Sound().GetHashCode());
        Assert.NotEqual(Sound(), Sound() with { VirtualPageCounts = [100, 51] });
        Assert.NotEqual(Sound(), Sound() with { Ranks = [.. Sound().Ranks.Select((rank, i) => rank with { Gpu = GpuId.Parse($"GPU-{i + 5}") })] });
    }
}
