using Kvcached.Core.Geometry;
using Kvcached.Core.Units;

namespace Kvcached.Core.Tests.Geometry;

public sealed class GeometryBuilderTests
{
    private static GeometryRequest Request(int gpus, int tensorParallelRanks) => new()
    {
        Gpus = Shapes.Gpus(gpus),
        TensorParallelRanks = tensorParallelRanks,
        VirtualBytesPerGroup = 80 * ByteSize.GiB,
    };

    [Fact]
    public void TryBuild_PipelineOfUnevenStages_RanksDifferInLayersOnly()
    {
        var geometry = Shapes.Build(ModelCatalogue.DeepSeekV3, Request(4, 2) with { LayersPerStage = [30, 31] });
        Assert.Equal([30, 30, 31, 31], geometry.Ranks.Select(rank => rank.Groups[0].LayerCount));
        Assert.Equal((int)(80 * ByteSize.GiB / (31 * 2 * ByteSize.MiB)), geometry.VirtualPageCounts[0]);
        Assert.Single(geometry.Ranks.Select(rank => rank.Groups[0] with { LayerCount = 1 }).Distinct());
    }

    [Fact]
    public void TryBuild_StagesNotGiven_EvenAndNoLayerLost()
    {
        foreach (var model in ModelCatalogue.All)
        {
            var geometry = Shapes.Build(model, Request(4, 1));
            for (var group = 0; group < model.Groups.Length; group++)
            {
                Assert.Equal(model.LayersOf(group), geometry.Ranks.Sum(rank => rank.Groups[group].LayerCount));
            }
        }
    }

    [Fact]
    public void TryBuild_StateGroup_PageThatWastesLittle()
    {
        var geometry = Shapes.Build(ModelCatalogue.Qwen3NextOf80B, Request(2, 2) with { StateBytesPerElement = 2 });
        var state = geometry.Ranks[0].Groups[1];
        Assert.Equal(KvGroupKind.State, state.Kind);
        Assert.InRange(state.BlockBytes, (16 * 128 * 128 * 2) + (4096 * 3 * 2), (long)(1.12 * ((16 * 128 * 128 * 2) + (4096 * 3 * 2))));
        Assert.Equal(0, state.PageBytes % state.BlockBytes);
    }

    public static TheoryData<string, GeometryRequest> BadRequests() => new()
    {
        { "GPUs", Request(0, 1) },
        { "GPUs", Request(3, 2) },
        { "GPUs", Request(2, 0) },
        { "layers", Request(4, 2) with { LayersPerStage = [31, 31] } },
        { "layers", Request(4, 2) with { LayersPerStage = [61] } },
        { "layers", Request(4, 2) with { LayersPerStage = [62, -1] } },
        { "layers", Request(64, 1) },
        { "Pages of", Request(1, 1) with { PageBytes = ByteSize.MiB } },
        { "Pages of", Request(1, 1) with { PageBytes = 0 } },
        { "at least 1", Request(1, 1) with { TokensPerBlock = 0 } },
        { "at least 1", Request(1, 1) with { VirtualBytesPerGroup = 0 } },
        { "virtual pages", Request(1, 1) with { VirtualBytesPerGroup = ByteSize.MiB } },
        { "no layout", Request(1, 1) with { Layout = 0 } },
        { "Layers per mapping", Request(1, 1) with { Layout = KvLayout.Grouped } },
        { "at most a page", Request(1, 1) with { TokensPerBlock = 2048 } },
        { "no whole block", Request(1, 1) with { TokensPerBlock = 1024 } },
    };

    [Theory]
    [MemberData(nameof(BadRequests))]
    public void TryBuild_BadRequest_SaysWhat(string expected, GeometryRequest request)
    {
        Assert.False(GeometryBuilder.TryBuild(ModelCatalogue.DeepSeekV3, request, Shapes.Granularity, out var geometry, out var problem));
        Assert.Null(geometry);
        Assert.Contains(expected, problem, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void TryBuild_HeadsThatDontDivide_Refused()
    {
        Assert.False(GeometryBuilder.TryBuild(ModelCatalogue.Llama31Of8B, Request(3, 3), Shapes.Granularity, out _, out var problem));
        Assert.Contains("heads", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void TryBuild_StageWithoutSomeKindOfLayer_Refused()
    {
        Assert.False(GeometryBuilder.TryBuild(
            ModelCatalogue.Gemma3Of27B, Request(2, 1) with { LayersPerStage = [60, 2] }, Shapes.Granularity, out _, out var problem));
        Assert.Contains("no layer", problem, StringComparison.Ordinal);
    }
}
