using System.Numerics;
using System.Runtime.CompilerServices;

namespace Kvcached.Core.Paging;

/// <summary>One bit per block, in words that lie next to each other or a few words apart, with those of other sets between them.</summary>
internal sealed class BlockBits(ulong[] words, int firstWord, int stride)
{
    /// <summary>An empty set by itself.</summary>
    public BlockBits(int blockCount)
        : this(new ulong[(blockCount + 63) >> 6], 0, 1)
    {
    }

    public bool this[int block] => (WordOf(block >> 6) & (1UL << (block & 63))) != 0;

    public void Set(int block) => WordOf(block >> 6) |= 1UL << (block & 63);

    public void Clear(int block) => WordOf(block >> 6) &= ~(1UL << (block & 63));

    /// <summary>Clears a bit and says whether it was set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryClear(int block)
    {
        ref var word = ref WordOf(block >> 6);
        var bit = 1UL << (block & 63);
        var wasSet = (word & bit) != 0;
        word &= ~bit;
        return wasSet;
    }

    /// <summary>Sets the bits from <paramref name="first"/> to before <paramref name="end"/>, which is above it.</summary>
    public void SetRange(int first, int end) => ForRange(first, end, isSet: true);

    /// <summary>Clears the bits from <paramref name="first"/> to before <paramref name="end"/>, which is above it.</summary>
    public void ClearRange(int first, int end) => ForRange(first, end, isSet: false);

    /// <summary>The first set bit from <paramref name="from"/> to before <paramref name="end"/>; -1 when there is none.</summary>
    public int NextFrom(int from, int end)
    {
        var mask = ulong.MaxValue << (from & 63);
        for (var index = from >> 6; index << 6 < end; index++)
        {
            var bits = WordOf(index) & mask;
            if (bits != 0)
            {
                var found = (index << 6) | BitOperations.TrailingZeroCount(bits);
                return found < end ? found : -1;
            }

            mask = ulong.MaxValue;
        }

        return -1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref ulong WordOf(int index) => ref words[firstWord + (index * stride)];

    private void ForRange(int first, int end, bool isSet)
    {
        var (first64, last64) = (first >> 6, (end - 1) >> 6);
        for (var index = first64; index <= last64; index++)
        {
            var mask = ulong.MaxValue;
            mask &= index == first64 ? ulong.MaxValue << (first & 63) : ulong.MaxValue;
            mask &= index == last64 ? ulong.MaxValue >> (63 - ((end - 1) & 63)) : ulong.MaxValue;
            ref var word = ref WordOf(index);
            word = isSet ? word | mask : word & ~mask;
        }
    }
}
