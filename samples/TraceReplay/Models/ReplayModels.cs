namespace Kvcached.TraceReplay.Models;

/// <summary>The models whose shapes are replayed.</summary>
public static class ReplayModels
{
    /// <summary>8 billion parameters: 32 layers of 8 key-value heads with 128 elements.</summary>
    public static ReplayModel Llama8B { get; } = new("llama-3.1-8b", 32, 8, 128);

    /// <summary>One billion parameters: 16 layers of 8 key-value heads with 64 elements.</summary>
    public static ReplayModel Llama1B { get; } = new("llama-3.2-1b", 16, 8, 64);

    public static IReadOnlyList<ReplayModel> All { get; } = [Llama8B, Llama1B];

    /// <summary>The model of that name, or null.</summary>
    public static ReplayModel? Find(string name) => All.FirstOrDefault(model => string.Equals(model.Name, name, StringComparison.OrdinalIgnoreCase));

    /// <summary>
    /// The model with its depth cut in the proportion in which the deepest one of the catalog is cut to
    /// <paramref name="layersOfDeepest"/> layers; at least one layer is left.
    /// </summary>
    public static ReplayModel Scale(ReplayModel model, int layersOfDeepest) =>
        model.WithLayers(Math.Max(1, (int)Math.Round((double)model.LayerCount * layersOfDeepest / Llama8B.LayerCount)));
}
