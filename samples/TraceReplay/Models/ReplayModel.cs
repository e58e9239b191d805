using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;

namespace Kvcached.TraceReplay.Models;

/// <summary>What an attention model keeps per token, before it is split over ranks. Keys and values are of two bytes (bfloat16).</summary>
/// <param name="Name">Name on the command line.</param>
/// <param name="LayerCount">Layers.</param>
/// <param name="KvHeadCount">Heads of keys and values per layer.</param>
/// <param name="HeadDimension">Elements of one head.</param>
public sealed record ReplayModel(string Name, int LayerCount, int KvHeadCount, int HeadDimension)
{
    /// <summary>Tokens whose keys and values one block holds.</summary>
    public const int TokensPerBlock = 16;

    private const int BytesPerElement = 2;
    private const int KeysAndValues = 2;
    private const long PageBytes = 2 * ByteSize.MiB;

    /// <summary>The same model with another number of layers.</summary>
    public ReplayModel WithLayers(int layerCount) => this with { LayerCount = layerCount };

    /// <summary>
    /// What one of <paramref name="tensorParallel"/> ranks keeps. Heads that don't divide evenly are rounded up, as engines do that
    /// replicate or pad them.
    /// </summary>
    public KvGroupShape OnOneOf(int tensorParallel)
    {
        return new KvGroupShape(
            "full", KvGroupKind.MultiHead, TokensPerBlock, LayerCount, KeysAndValues, (long)TokensPerBlock * HeadsOnOneOf(tensorParallel) * HeadDimension * BytesPerElement, PageBytes);
    }

    /// <summary>Key-value heads that one of so many ranks keeps.</summary>
    public int HeadsOnOneOf(int tensorParallel) => (KvHeadCount + tensorParallel - 1) / tensorParallel;

    /// <summary>True when that many ranks keep no head twice and pad none.</summary>
    public bool DividesOver(int tensorParallel) => KvHeadCount % tensorParallel == 0;

    /// <summary>Bytes of one block on each of <paramref name="tensorParallel"/> ranks, over all layers.</summary>
    public long BytesPerBlock(int tensorParallel) => OnOneOf(tensorParallel).BytesPerBlock;

    /// <summary>Bytes of one page id on each rank, over all layers.</summary>
    public long BytesPerPage(int tensorParallel) => OnOneOf(tensorParallel).BytesPerPageId;

    /// <summary>
    /// The pool that an engine with this model opens: one rank per GPU, all layers in one mapping, and virtual room for
    /// <paramref name="virtualBytesPerRank"/> on each rank.
    /// </summary>
    public PoolSpec CreatePool(string poolName, ImmutableArray<GpuId> gpus, long virtualBytesPerRank)
    {
        var shape = OnOneOf(gpus.Length);
        var pages = (int)Math.Clamp(virtualBytesPerRank / shape.BytesPerPageId, 1, 1 << 20);
        var geometry = new PoolGeometry(KvLayout.Contiguous, 0, [pages], [.. gpus.Select(gpu => new RankShape(gpu, [shape]))]);
        return new PoolSpec(poolName, geometry, PoolTarget.Host, LimitBytes: 0, FloorBytes: 0, Weight: 1);
    }
}
