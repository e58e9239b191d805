namespace Kvcached.Core.Checking;

/// <summary>One word that isn't what a stamp says.</summary>
/// <param name="WordIndex">Index of the word within the block's bytes of that layer and buffer.</param>
/// <param name="Expected">What the stamp says; of a last word that the block holds in part, only those bytes, else 0.</param>
/// <param name="Found">What was there, with the same bytes.</param>
public readonly record struct StampMismatch(long WordIndex, ulong Expected, ulong Found)
{
    /// <summary>Where the word starts in the block's bytes of that layer and buffer.</summary>
    public long ByteOffset => WordIndex * StampPlaces.WordBytes;
}

/// <summary>What comparing one layer and buffer of a block gave.</summary>
/// <param name="WordCount">Words compared.</param>
/// <param name="MismatchCount">Words that differ.</param>
/// <param name="First">The differing word with the lowest index, if any.</param>
public readonly record struct StampComparison(long WordCount, long MismatchCount, StampMismatch? First);
