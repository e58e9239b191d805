namespace Kvcached.Core.Geometry;

/// <summary>What one driver mapping covers of a page id. Fewer mappings are faster; finer ones suit engines that need them.</summary>
public enum KvLayout : byte
{
    /// <summary>All layers and buffers of a KV group in one mapping; a block's layers lie side by side.</summary>
    Contiguous = 1,

    /// <summary>Some layers, all their buffers, per mapping (<see cref="PoolGeometry.LayersPerMapping"/>).</summary>
    Grouped = 2,

    /// <summary>One layer and one buffer per mapping; a tensor per layer and buffer, as engines lay it out themselves.</summary>
    PerLayer = 3,
}

/// <summary>What the layers of a KV group keep per block.</summary>
public enum KvGroupKind : byte
{
    /// <summary>Keys and values of multi-head or grouped-query attention: two buffers.</summary>
    MultiHead = 1,

    /// <summary>One latent buffer for keys and values (MLA).</summary>
    MultiHeadLatent = 2,

    /// <summary>Keys and values of layers that look back a bounded number of tokens; freed as the window moves.</summary>
    SlidingWindow = 3,

    /// <summary>A state of fixed size per sequence (Mamba, linear attention): a block is a slot, padded to a stride.</summary>
    State = 4,
}
