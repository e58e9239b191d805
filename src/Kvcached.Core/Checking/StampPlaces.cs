namespace Kvcached.Core.Checking;

/// <summary>
/// Which words of a block's bytes (those of one layer and buffer) a stamp covers. Words are 8 bytes, little-endian, counted from the
/// block's first byte; of a last word that the block doesn't hold in full, the bytes that it holds are covered.
/// </summary>
/// <param name="BlockBytes">Bytes of a block in one buffer of one layer, at least 1.</param>
public readonly record struct StampPlaces(long BlockBytes)
{
    /// <summary>Bytes of a word.</summary>
    public const int WordBytes = 8;

    /// <summary>A stamp that doesn't cover every word covers the first word of each run of this many bytes, and the last word.</summary>
    public const int SampleBytes = 4096;

    private const int SampleWords = SampleBytes / WordBytes;

    /// <summary>Words of a block, the last perhaps in part.</summary>
    public long WordCount => (BlockBytes + WordBytes - 1) / WordBytes;

    /// <summary>Words that a stamp covers.</summary>
    public long PlaceCount(bool isWhole)
    {
        var words = WordCount;
        return isWhole ? words : SampleCount(words) + (TailIsSample(words) ? 0 : 1);
    }

    /// <summary>Index of the word at a place; places count from 0, words ascend with them.</summary>
    public long WordOf(long place, bool isWhole)
    {
        if (isWhole)
        {
            return place;
        }

        var words = WordCount;
        return place < SampleCount(words) ? place * SampleWords : words - 1;
    }

    /// <summary>Bytes of a word that lie within the block: 8, or fewer for its last word.</summary>
    public int BytesOf(long wordIndex) => (int)Math.Min(WordBytes, BlockBytes - (wordIndex * WordBytes));

    private static long SampleCount(long words) => (words + SampleWords - 1) / SampleWords;

    private static bool TailIsSample(long words) => (words - 1) % SampleWords == 0;
}
