using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests;

/// <summary>Small pools: one page is 4 KiB of one layer, so that a page id takes 4 KiB for each layer.</summary>
internal static class TestPools
{
    public const long PageBytes = 4096;

    public const long BlockBytes = 1024;

    public static GpuId Gpu(int index) => GpuId.Parse($"HOST-{index}");

    public static ImmutableArray<GpuId> Gpus(int count) => [.. Enumerable.Range(0, count).Select(Gpu)];

    public static RankShape Rank(GpuId gpu, int layerCount = 1, long pageBytes = PageBytes) =>
        new(gpu, [new KvGroupShape("full", KvGroupKind.MultiHead, 16, layerCount, 1, BlockBytes, pageBytes)]);

    /// <summary>A pool that engine workers map.</summary>
    public static PoolSpec WorkerSpec(string name, ImmutableArray<GpuId> gpus, int virtualPages = 256) =>
        Spec(name, gpus, virtualPages) with { Target = PoolTarget.Worker };

    public static PoolSpec Spec(
        string name, ImmutableArray<GpuId> gpus, int virtualPages = 256, long limitBytes = 0, long floorBytes = 0, int weight = 1) =>
        new(name, new PoolGeometry(KvLayout.Contiguous, 0, [virtualPages], [.. gpus.Select(gpu => Rank(gpu))]), PoolTarget.Host, limitBytes, floorBytes, weight);
}
