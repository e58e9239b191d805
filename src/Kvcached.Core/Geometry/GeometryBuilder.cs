using System.Collections.Immutable;

namespace Kvcached.Core.Geometry;

/// <summary>Makes the geometry of a pool for a model: heads divided over tensor-parallel ranks, layers over pipeline stages.</summary>
public static class GeometryBuilder
{
    /// <summary>Builds and checks a geometry; or says, as a sentence for the user, why there is none.</summary>
    /// <param name="model">The model's shape.</param>
    /// <param name="request">How it is served.</param>
    /// <param name="granularityBytes">The smallest size and alignment that the ranks' drivers map, in bytes.</param>
    /// <param name="geometry">The geometry, or null.</param>
    /// <param name="problem">What is wrong, or null.</param>
    public static bool TryBuild(
        ModelShape model, GeometryRequest request, long granularityBytes, out PoolGeometry? geometry, out string? problem)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(request);
        geometry = null;
        problem = FindProblem(model, request, granularityBytes);
        if (problem is not null)
        {
            return false;
        }

        var stages = StagesOf(model, request);
        var ranks = ImmutableArray.CreateBuilder<RankShape>();
        var firstLayer = 0;
        for (var rank = 0; rank < request.Gpus.Length; rank++)
        {
            var stage = rank / request.TensorParallelRanks;
            var groups = ImmutableArray.CreateBuilder<KvGroupShape>();
            for (var group = 0; group < model.Groups.Length; group++)
            {
                var layers = model.LayersOf(group, firstLayer, stages[stage]);
                if (layers == 0)
                {
                    problem = $"Pipeline stage {stage} of {model.Name} has no layer of KV group '{model.Groups[group].Name}'; use fewer stages.";
                    return false;
                }

                groups.Add(ShapeOf(model.Groups[group], layers, request));
            }

            ranks.Add(new RankShape(request.Gpus[rank], groups.ToImmutable()));
            firstLayer += (rank + 1) % request.TensorParallelRanks == 0 ? stages[stage] : 0;
        }

        var pageCounts = Enumerable.Range(0, model.Groups.Length).Select(group =>
            (int)Math.Min(GeometryRules.MaxVirtualPages, request.VirtualBytesPerGroup / ranks.Max(rank => rank.Groups[group].BytesPerPageId)));
        var built = new PoolGeometry(request.Layout, request.LayersPerMapping, [.. pageCounts], ranks.ToImmutable());
        problem = GeometryRules.FindProblem(built, granularityBytes);
        geometry = problem is null ? built : null;
        return problem is null;
    }

    private static string? FindProblem(ModelShape model, GeometryRequest request, long granularityBytes)
    {
        var tensorParallel = request.TensorParallelRanks;
        if (request.Gpus.IsDefaultOrEmpty || tensorParallel < 1 || request.Gpus.Length % tensorParallel != 0)
        {
            return $"{(request.Gpus.IsDefault ? 0 : request.Gpus.Length)} GPUs can't be divided into groups of {tensorParallel} tensor-parallel ranks.";
        }

        var stageCount = request.Gpus.Length / tensorParallel;
        if (request.LayersPerStage.IsDefaultOrEmpty ? stageCount > model.LayerCount
            : request.LayersPerStage.Length != stageCount || request.LayersPerStage.Any(layers => layers < 1)
                || request.LayersPerStage.Sum(layers => (long)layers) != model.LayerCount)
        {
            return $"The {model.LayerCount} layers of {model.Name} can't be divided over {stageCount} pipeline stages as asked.";
        }

        if (request.TokensPerBlock is < 1 or > 1 << 20 || request.BytesPerElement is < 1 or > 16 || request.ScaleBytes is < 0 or > 1 << 20
            || request.StateBytesPerElement is < 1 or > 16 || request.VirtualBytesPerGroup < 1)
        {
            return "Tokens per block and virtual bytes are at least 1, bytes per element are 1 to 16, and scales take at most 1 MiB.";
        }

        if (granularityBytes < 1 || request.PageBytes < 1 || request.PageBytes % granularityBytes != 0 || request.PageBytes > 1L << 30
            || request.PageBytes % KvGroupShapes.StateAlignmentBytes != 0)
        {
            return $"Pages of {request.PageBytes} bytes won't do: they are a multiple of the granularity, {granularityBytes}, and at most 1 GiB.";
        }

        foreach (var group in model.Groups)
        {
            var dividesHeads = group switch
            {
                ModelKvGroup.Attention attention => KvGroupShapes.CanDivideHeads(attention.KvHeadCount, tensorParallel),
                ModelKvGroup.GatedDelta delta => delta.KeyHeadCount % tensorParallel == 0 && delta.ValueHeadCount % tensorParallel == 0,
                _ => true,
            };
            if (!dividesHeads)
            {
                return $"The heads of KV group '{group.Name}' of {model.Name} can't be divided over {tensorParallel} tensor-parallel ranks.";
            }
        }

        return null;
    }

    private static ImmutableArray<int> StagesOf(ModelShape model, GeometryRequest request)
    {
        if (!request.LayersPerStage.IsDefaultOrEmpty)
        {
            return request.LayersPerStage;
        }

        var stageCount = request.Gpus.Length / request.TensorParallelRanks;
        return [.. Enumerable.Range(0, stageCount)
            .Select(stage => (model.LayerCount / stageCount) + (stage < model.LayerCount % stageCount ? 1 : 0))];
    }

    private static KvGroupShape ShapeOf(ModelKvGroup group, int layers, GeometryRequest request)
    {
        switch (group)
        {
            case ModelKvGroup.Attention attention:
                var shape = KvGroupShapes.MultiHead(
                    group.Name, layers, attention.KvHeadCount, attention.HeadElements, request.TokensPerBlock, request.BytesPerElement,
                    request.PageBytes, request.ScaleBytes, request.TensorParallelRanks);
                return attention.WindowTokens == 0 ? shape : shape with { Kind = KvGroupKind.SlidingWindow };
            case ModelKvGroup.Latent latent:
                return KvGroupShapes.MultiHeadLatent(
                    group.Name, layers, latent.ElementsPerToken, request.TokensPerBlock, request.BytesPerElement, request.PageBytes, request.ScaleBytes);
            case ModelKvGroup.GatedDelta delta:
                var slotBytes = delta.SlotBytes(request.TensorParallelRanks, request.StateBytesPerElement, inputBytesPerElement: 2);
                return KvGroupShapes.State(group.Name, layers, slotBytes, KvGroupShapes.StatePageBytes(slotBytes, request.PageBytes));
            default:
                throw new ArgumentOutOfRangeException(nameof(group), group, "No such kind of KV group.");
        }
    }
}
