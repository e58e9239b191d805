using System.Collections.Immutable;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Benchmarks.Measuring;

/// <summary>The pool that is measured: a model of 32 layers with 8 KV heads of 128 elements, in pages of 2 MiB, all layers in one mapping.</summary>
internal static class Geometries
{
    public const int LayerCount = 32;
    public const long PageBytes = 2 << 20;

    /// <summary>Bytes of one page id on one rank.</summary>
    public const long BytesPerPageId = PageBytes * LayerCount * 2;

    public static PoolGeometry Of(IEnumerable<GpuId> gpus, int virtualPageCount)
    {
        ImmutableArray<KvGroupShape> groups =
        [
            new KvGroupShape("full", KvGroupKind.MultiHead, TokensPerBlock: 16, LayerCount, BufferCount: 2, BlockBytes: 16 * 2 * 128 * 2, PageBytes),
        ];
        return new PoolGeometry(KvLayout.Contiguous, 0, [virtualPageCount], [.. gpus.Select(gpu => new RankShape(gpu, groups))]);
    }
}
