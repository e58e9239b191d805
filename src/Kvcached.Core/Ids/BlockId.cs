namespace Kvcached.Core.Ids;

/// <summary>
/// Index of a block (the KV cache of N tokens) in one KV group of a pool: what an engine allocates and puts in its block
/// tables. Affine in the address: block b of a mapping unit starts at b times that unit's block stride.
/// </summary>
public readonly record struct BlockId(int Value)
{
    public override string ToString() => $"block-{Value}";
}
