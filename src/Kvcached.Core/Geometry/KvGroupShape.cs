namespace Kvcached.Core.Geometry;

/// <summary>The layers of one rank that share a block shape.</summary>
/// <param name="Name">Name of the group in its pool, the same on every rank, for example <c>full</c>.</param>
/// <param name="Kind">What a block holds.</param>
/// <param name="TokensPerBlock">Tokens whose KV cache one block holds; the same on every rank. 0 for <see cref="KvGroupKind.State"/>.</param>
/// <param name="LayerCount">Layers of this group on this rank, from 1; pipeline stages may differ in it.</param>
/// <param name="BufferCount">Buffers per layer: 2 for keys and values, 1 for MLA or a state.</param>
/// <param name="BlockBytes">Bytes of one block in one buffer of one layer, scales and padding included; the same on every rank.</param>
/// <param name="PageBytes">Bytes of one page in one buffer of one layer: a multiple of the driver's granularity; the same on every rank.</param>
public sealed record KvGroupShape(
    string Name,
    KvGroupKind Kind,
    int TokensPerBlock,
    int LayerCount,
    int BufferCount,
    long BlockBytes,
    long PageBytes)
{
    /// <summary>Bytes that one page id takes on this rank over all layers and buffers.</summary>
    public long BytesPerPageId => PageBytes * LayerCount * BufferCount;

    /// <summary>Bytes that one block takes on this rank over all layers and buffers.</summary>
    public long BytesPerBlock => BlockBytes * LayerCount * BufferCount;
}
