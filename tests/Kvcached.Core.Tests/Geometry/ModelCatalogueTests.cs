using Kvcached.Core.Geometry;
using Kvcached.Core.Units;

namespace Kvcached.Core.Tests.Geometry;

public sealed class ModelCatalogueTests
{
    [Theory]
    [InlineData("Llama-3.1-8B", "full", 32)]
    [InlineData("Llama-3.1-70B", "full", 80)]
    [InlineData("DeepSeek-V3", "latent", 61)]
    [InlineData("GPT-OSS-20B", "full", 12, "sliding", 12)]
    [InlineData("GPT-OSS-120B", "full", 18, "sliding", 18)]
    [InlineData("Gemma-3-27B", "full", 10, "sliding", 52)]
    [InlineData("Qwen3-Next-80B-A3B", "full", 12, "linear", 36)]
    public void LayersOf_KnownModel_AsPublished(string model, string firstName, int firstLayers, string? secondName = null, int secondLayers = 0)
    {
        var shape = ModelCatalogue.All.Single(m => m.Name == model);
        Assert.Equal((firstName, firstLayers), (shape.Groups[0].Name, shape.LayersOf(0)));
        Assert.Equal(secondName is null ? 1 : 2, shape.Groups.Length);
        if (secondName is not null)
        {
            Assert.Equal((secondName, secondLayers), (shape.Groups[1].Name, shape.LayersOf(1)));
        }

        Assert.Equal(firstLayers + secondLayers, shape.LayerCount);
    }

    // Bytes that one token takes over all layers and buffers of a rank, 16-bit elements.
    [Theory]
    [InlineData("Llama-3.1-8B", 0, 1, 128 * 1024)]
    [InlineData("Llama-3.1-70B", 0, 1, 320 * 1024)]
    [InlineData("Llama-3.1-70B", 0, 8, 40 * 1024)]
    [InlineData("DeepSeek-V3", 0, 1, 61 * 576 * 2)]
    [InlineData("DeepSeek-V3", 0, 8, 61 * 576 * 2)]
    [InlineData("GPT-OSS-20B", 0, 1, 12 * 2 * 8 * 64 * 2)]
    [InlineData("GPT-OSS-120B", 1, 2, 18 * 2 * 4 * 64 * 2)]
    [InlineData("Gemma-3-27B", 0, 1, 10 * 2 * 16 * 128 * 2)]
    [InlineData("Gemma-3-27B", 1, 1, 52 * 2 * 16 * 128 * 2)]
    [InlineData("Qwen3-Next-80B-A3B", 0, 4, 12 * 2 * 1 * 256 * 2)]
    public void BytesPerToken_KnownModel_AsPublished(string model, int group, int tensorParallelRanks, int expectedBytes)
    {
        var geometry = Shapes.Build(ModelCatalogue.All.Single(m => m.Name == model), new GeometryRequest
        {
            Gpus = Shapes.Gpus(tensorParallelRanks),
            TensorParallelRanks = tensorParallelRanks,
            VirtualBytesPerGroup = 80 * ByteSize.GiB,
        });
        var shape = geometry.Ranks[0].Groups[group];
        Assert.Equal(expectedBytes, shape.BytesPerBlock / shape.TokensPerBlock);
    }

    [Fact]
    public void Qwen3Next_LinearState_MatricesAndConvolutionInputs()
    {
        var delta = Assert.IsType<ModelKvGroup.GatedDelta>(ModelCatalogue.Qwen3NextOf80B.Groups[1]);
        Assert.Equal((32 * 128 * 128 * 4) + (8192 * 3 * 2), delta.SlotBytes(1, 4, 2));
        Assert.Equal(delta.SlotBytes(1, 4, 2), 4 * delta.SlotBytes(4, 4, 2));
    }

    [Fact]
    public void WindowTokens_SlidingGroups_AsPublished()
    {
        Assert.Equal(128, Assert.IsType<ModelKvGroup.Attention>(ModelCatalogue.GptOss20B.Groups[1]).WindowTokens);
        Assert.Equal(1024, Assert.IsType<ModelKvGroup.Attention>(ModelCatalogue.Gemma3Of27B.Groups[1]).WindowTokens);
    }
}
