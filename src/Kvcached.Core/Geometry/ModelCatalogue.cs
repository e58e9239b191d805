using System.Collections.Immutable;

namespace Kvcached.Core.Geometry;

/// <summary>KV shapes of well-known models, from their published configurations.</summary>
public static class ModelCatalogue
{
    public static ModelShape Llama31Of8B { get; } = Uniform("Llama-3.1-8B", 32, new ModelKvGroup.Attention("full", 8, 128));

    public static ModelShape Llama31Of70B { get; } = Uniform("Llama-3.1-70B", 80, new ModelKvGroup.Attention("full", 8, 128));

    /// <summary>Latent of 512 elements and 64 rotary ones.</summary>
    public static ModelShape DeepSeekV3 { get; } = Uniform("DeepSeek-V3", 61, new ModelKvGroup.Latent("latent", 512 + 64));

    public static ModelShape GptOss20B { get; } = GptOss("GPT-OSS-20B", 24);

    public static ModelShape GptOss120B { get; } = GptOss("GPT-OSS-120B", 36);

    /// <summary>Five layers that look back 1024 tokens, then one that looks back over all.</summary>
    public static ModelShape Gemma3Of27B { get; } = new(
        "Gemma-3-27B",
        [new ModelKvGroup.Attention("full", 16, 128), new ModelKvGroup.Attention("sliding", 16, 128, WindowTokens: 1024)],
        [.. Enumerable.Range(0, 62).Select(layer => layer % 6 == 5 ? 0 : 1)]);

    /// <summary>Three layers of linear attention, then one of full attention.</summary>
    public static ModelShape Qwen3NextOf80B { get; } = new(
        "Qwen3-Next-80B-A3B",
        [new ModelKvGroup.Attention("full", 2, 256), new ModelKvGroup.GatedDelta("linear", 16, 128, 32, 128, ConvolutionWidth: 4)],
        [.. Enumerable.Range(0, 48).Select(layer => layer % 4 == 3 ? 0 : 1)]);

    public static ImmutableArray<ModelShape> All { get; } =
        [Llama31Of8B, Llama31Of70B, DeepSeekV3, GptOss20B, GptOss120B, Gemma3Of27B, Qwen3NextOf80B];

    private static ModelShape Uniform(string name, int layerCount, ModelKvGroup group) =>
        new(name, [group], [.. Enumerable.Repeat(0, layerCount)]);

    private static ModelShape GptOss(string name, int layerCount) => new(
        name,
        [new ModelKvGroup.Attention("full", 8, 64), new ModelKvGroup.Attention("sliding", 8, 64, WindowTokens: 128)],
        [.. Enumerable.Range(0, layerCount).Select(layer => layer % 2 == 0 ? 1 : 0)]);
}
