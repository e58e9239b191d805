using Kvcached.Core.Ids;

namespace Kvcached.Core.Checking;

/// <summary>What one block is to hold, or is expected to hold, on every layer and buffer of a rank.</summary>
/// <param name="Block">The block, of the KV group that the stamp is used for.</param>
/// <param name="Version">Which use of the block this is: raised at each new use, so that a leftover of an older one shows.</param>
/// <param name="Whole">
/// True to cover every word, false to cover the first, the last and one word per <see cref="StampPlaces.SampleBytes"/>. A block that
/// was written with false can't be verified with true.
/// </param>
public readonly record struct BlockStamp(BlockId Block, uint Version, bool Whole)
{
    public override string ToString() => $"{Block} version {Version}{(Whole ? " (whole)" : string.Empty)}";
}
