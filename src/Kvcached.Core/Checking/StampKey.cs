using Kvcached.Core.Ids;

namespace Kvcached.Core.Checking;

/// <summary>
/// The words of a stamp: a pure function of pool, rank, KV group, block, version, layer, buffer and word index, so that a block seen
/// in a wrong place or in an older version doesn't match.
/// </summary>
/// <remarks>
/// A chain of bijections of 64 bits, one per step: two stamps that differ in one step only (another version or block; another
/// layer or buffer; another word) differ in every word for certain, and any two others agree in a word with a chance of 2^-64.
/// The copier's GPU kernels compute the same function.
/// </remarks>
/// <param name="Value">The chain so far, up to pool, rank and group.</param>
public readonly record struct StampKey(ulong Value)
{
    private const ulong PoolSalt = 0x6B76_6361_6368_6564;

    /// <summary>The key of one KV group of a pool on one rank.</summary>
    /// <param name="pool">The pool.</param>
    /// <param name="rank">Index of the rank in its pool, from 0.</param>
    /// <param name="group">Index of the KV group, from 0.</param>
    public static StampKey Of(PoolId pool, int rank, int group)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        ArgumentOutOfRangeException.ThrowIfNegative(group);
        return new StampKey(Mix(Mix((ulong)pool.Value ^ PoolSalt) ^ Pair((uint)rank, (uint)group)));
    }

    /// <summary>The key of one layer and buffer of a stamped block.</summary>
    public LaneKey LaneOf(BlockId block, uint version, int layer, int buffer) =>
        new(Mix(Mix(Value ^ Pair((uint)block.Value, version)) ^ Pair((uint)layer, (uint)buffer)));

    /// <summary>The word at one place of a block.</summary>
    /// <param name="block">The block.</param>
    /// <param name="version">Its version.</param>
    /// <param name="layer">Layer, counted within the group on this rank.</param>
    /// <param name="buffer">Buffer of the layer.</param>
    /// <param name="wordIndex">Index of the 8-byte word within the block's bytes of that layer and buffer.</param>
    public ulong WordAt(BlockId block, uint version, int layer, int buffer, long wordIndex) =>
        LaneOf(block, version, layer, buffer).WordAt(wordIndex);

    /// <summary>Two 32-bit values side by side.</summary>
    internal static ulong Pair(uint high, uint low) => ((ulong)high << 32) | low;

    /// <summary>A bijection in which each input bit moves about half of the output bits (the finaliser of SplitMix64).</summary>
    internal static ulong Mix(ulong word)
    {
        unchecked
        {
            word = (word ^ (word >> 30)) * 0xBF58_476D_1CE4_E5B9;
            word = (word ^ (word >> 27)) * 0x94D0_49BB_1331_11EB;
            return word ^ (word >> 31);
        }
    }
}

/// <summary>The key of one layer and buffer of a stamped block; made by <see cref="StampKey.LaneOf"/>.</summary>
public readonly record struct LaneKey(ulong Value)
{
    /// <summary>The word with that index, from 0.</summary>
    public ulong WordAt(long wordIndex) => StampKey.Mix(Value ^ (ulong)wordIndex);
}
