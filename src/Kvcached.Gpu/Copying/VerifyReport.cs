using System.Collections.Immutable;
using Kvcached.Core.Checking;
using Kvcached.Core.Ids;

namespace Kvcached.Gpu.Copying;

/// <summary>What comparing blocks with their stamps found.</summary>
/// <param name="BlockCount">Blocks compared, over all layers and buffers.</param>
/// <param name="MismatchingBlockCount">Blocks of which at least one word differs.</param>
/// <param name="WordCount">8-byte words compared.</param>
/// <param name="Mismatches">
/// The first mismatching blocks in the order of the request, at most <see cref="MaxMismatches"/> of them.
/// </param>
public sealed record VerifyReport(int BlockCount, int MismatchingBlockCount, long WordCount, ImmutableArray<BlockMismatch> Mismatches)
{
    /// <summary>Most mismatching blocks that are described.</summary>
    public const int MaxMismatches = 64;

    /// <summary>What comparing nothing finds.</summary>
    public static VerifyReport Empty { get; } = new(0, 0, 0, []);

    /// <summary>True when every word was as stamped.</summary>
    public bool IsClean => MismatchingBlockCount == 0;

    /// <summary>The report over the blocks of both.</summary>
    public VerifyReport With(VerifyReport other) => new(
        checked(BlockCount + other.BlockCount),
        checked(MismatchingBlockCount + other.MismatchingBlockCount),
        checked(WordCount + other.WordCount),
        [.. Mismatches.Concat(other.Mismatches).Take(MaxMismatches)]);
}

/// <summary>A block that isn't as stamped.</summary>
/// <param name="Block">The block.</param>
/// <param name="Version">The version that was expected.</param>
/// <param name="MismatchCount">Words that differ, over all layers and buffers.</param>
/// <param name="Layer">Layer of the first of them, counted within the group on this rank.</param>
/// <param name="Buffer">Buffer of the first of them.</param>
/// <param name="First">The first of them.</param>
public readonly record struct BlockMismatch(BlockId Block, uint Version, long MismatchCount, int Layer, int Buffer, StampMismatch First)
{
    public override string ToString() =>
        $"{Block} version {Version}: {MismatchCount} words differ, first at layer {Layer}, buffer {Buffer}, byte {First.ByteOffset}: "
        + $"expected {First.Expected:x16}, found {First.Found:x16}";
}
