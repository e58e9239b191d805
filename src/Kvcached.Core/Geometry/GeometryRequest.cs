using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;

namespace Kvcached.Core.Geometry;

/// <summary>How a model is served: what, with its <see cref="ModelShape"/>, makes a pool's geometry.</summary>
public sealed record GeometryRequest
{
    /// <summary>GPUs in the order of ranks, TP within PP: as many as both together.</summary>
    public required ImmutableArray<GpuId> Gpus { get; init; }

    /// <summary>Ranks that share each layer. The pipeline stages are the GPUs divided by it. Default 1.</summary>
    public int TensorParallelRanks { get; init; } = 1;

    /// <summary>Layers of each pipeline stage; default (empty): even, the first stages taking what is left over.</summary>
    public ImmutableArray<int> LayersPerStage { get; init; } = [];

    public KvLayout Layout { get; init; } = KvLayout.Contiguous;

    /// <summary>For <see cref="KvLayout.Grouped"/>, from 1; else 0.</summary>
    public int LayersPerMapping { get; init; }

    /// <summary>Default 16.</summary>
    public int TokensPerBlock { get; init; } = 16;

    /// <summary>Bytes per cached element: 2 for 16-bit floats (default), 1 for fp8.</summary>
    public int BytesPerElement { get; init; } = 2;

    /// <summary>Scales kept in the block, per token and KV head (per token for MLA), in bytes. Default 0.</summary>
    public int ScaleBytes { get; init; }

    /// <summary>Bytes per element of recurrent matrices. Default 4.</summary>
    public int StateBytesPerElement { get; init; } = 4;

    /// <summary>Page of one layer and buffer, in bytes. State groups take a multiple of it where slots waste less there. Default 2 MiB.</summary>
    public long PageBytes { get; init; } = 2 * ByteSize.MiB;

    /// <summary>Virtual bytes that each KV group may reach on the rank where it takes most. Virtual room costs no memory.</summary>
    public required long VirtualBytesPerGroup { get; init; }
}
