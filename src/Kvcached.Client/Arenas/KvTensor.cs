namespace Kvcached.Client;

/// <summary>Where one buffer of one layer lies in an arena: a tensor over blocks, with a stride between them.</summary>
/// <param name="Group">Index of the KV group.</param>
/// <param name="GroupName">Its name.</param>
/// <param name="Layer">Layer, counted within the group on this rank.</param>
/// <param name="Buffer">Buffer of the layer: 0 keys and 1 values, or 0 alone.</param>
/// <param name="OffsetBytes">Where its block 0 starts, from the arena's base.</param>
/// <param name="BlockBytes">Bytes of a block here.</param>
/// <param name="BlockStrideBytes">Bytes from one block to the next; at least <paramref name="BlockBytes"/>.</param>
/// <param name="BlockCount">Block ids that there is virtual room for: the first dimension. Only blocks of mapped pages may be touched.</param>
/// <param name="TokensPerBlock">Tokens of a block; 0 for states.</param>
public readonly record struct KvTensor(
    int Group, string GroupName, int Layer, int Buffer, long OffsetBytes, long BlockBytes, long BlockStrideBytes, int BlockCount, int TokensPerBlock);
