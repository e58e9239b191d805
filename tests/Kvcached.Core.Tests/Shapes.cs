using System.Collections.Immutable;
using CsCheck;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;

namespace Kvcached.Core.Tests;

/// <summary>Real models as served, for tests that should hold for all of them.</summary>
internal static class Shapes
{
    public const long Granularity = 2 * ByteSize.MiB;

    public static ImmutableArray<GpuId> Gpus(int count) => [.. Enumerable.Range(0, count).Select(i => GpuId.Parse($"GPU-{i}"))];

    /// <summary>Every model of the catalogue in every layout, on one rank, with TP and with PP, in 16-bit and in fp8 with scales.</summary>
    public static ImmutableArray<(string Title, PoolGeometry Geometry)> All { get; } = [.. Enumerate()];

    /// <summary>One of <see cref="All"/>, by its index.</summary>
    public static Gen<PoolGeometry> Gen { get; } = CsCheck.Gen.Int[0, All.Length - 1].Select(i => All[i].Geometry);

    /// <summary>Block and page sizes that occur in real models, those that don't divide the page included.</summary>
    public static ImmutableArray<PageSlots> Slots { get; } =
        [.. All.SelectMany(shape => Enumerable.Range(0, shape.Geometry.GroupCount).Select(shape.Geometry.SlotsOf)).Distinct()];

    public static PoolGeometry Build(ModelShape model, GeometryRequest request)
    {
        Assert.True(GeometryBuilder.TryBuild(model, request, Granularity, out var geometry, out var problem), problem);
        return geometry!;
    }

    private static IEnumerable<(string, PoolGeometry)> Enumerate()
    {
        foreach (var model in ModelCatalogue.All)
        {
            foreach (var (layout, layersPerMapping) in new[] { (KvLayout.Contiguous, 0), (KvLayout.Grouped, 5), (KvLayout.PerLayer, 0) })
            {
                foreach (var (tp, pp) in new[] { (1, 1), (2, 1), (4, 2), (16, 1) })
                {
                    foreach (var (bytesPerElement, scaleBytes, tokens) in new[] { (2, 0, 16), (1, 4, 64) })
                    {
                        var request = new GeometryRequest
                        {
                            Gpus = Gpus(tp * pp),
                            TensorParallelRanks = tp,
                            Layout = layout,
                            LayersPerMapping = layersPerMapping,
                            BytesPerElement = bytesPerElement,
                            ScaleBytes = scaleBytes,
                            TokensPerBlock = tokens,
                            VirtualBytesPerGroup = 160 * ByteSize.GiB,
                        };
                        yield return ($"{model.Name} {layout} tp{tp} pp{pp} {bytesPerElement}+{scaleBytes}", Build(model, request));
                    }
                }
            }
        }
    }
}
