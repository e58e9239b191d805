using System.Numerics;
using System.Runtime.CompilerServices;

namespace Kvcached.Core.Paging;

/// <summary>One bit per block: a million blocks take 125 kB, so that the state of all of them stays in the processor's cache.</summary>
internal sealed class BlockBits(int blockCount)
{
    private readonly ulong[] _words = new ulong[(blockCount + 63) >> 6];

    public bool this[int block] => (_words[block >> 6] & (1UL << (block & 63))) != 0;

    public void Set(int block) => _words[block >> 6] |= 1UL << (block & 63);

    public void Clear(int block) => _words[block >> 6] &= ~(1UL << (block & 63));

    /// <summary>Clears a bit and says whether it was set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryClear(int block)
    {
        ref var word = ref _words[block >> 6];
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
        if (from >= end)
        {
            return -1;
        }

        var index = from >> 6;
        var bits = _words[index] & (ulong.MaxValue << (from & 63));
        if (bits == 0)
        {
            var rest = _words.AsSpan(index + 1, ((end - 1) >> 6) - index);
            var skipped = rest.IndexOfAnyExcept(0UL);
            if (skipped < 0)
            {
                return -1;
            }

            index += 1 + skipped;
            bits = rest[skipped];
        }

        var found = (index << 6) | BitOperations.TrailingZeroCount(bits);
        return found < end ? found : -1;
    }

    /// <summary>
    /// Clears the lowest set bits from <paramref name="from"/> on, one for each place of <paramref name="taken"/>, sets them in
    /// <paramref name="other"/>, and returns the last. There have to be enough of them.
    /// </summary>
    public int MoveLowest(int from, Span<Ids.BlockId> taken, BlockBits other)
    {
        var index = from >> 6;
        var bits = _words[index] & (ulong.MaxValue << (from & 63));
        for (var count = 0; ;)
        {
            if (bits == 0)
            {
                index += 1 + _words.AsSpan(index + 1).IndexOfAnyExcept(0UL);
                bits = _words[index];
            }

            var moved = 0UL;
            do
            {
                taken[count++] = new Ids.BlockId((index << 6) | BitOperations.TrailingZeroCount(bits));
                moved |= bits & (~bits + 1);
                bits &= bits - 1;
            }
            while (bits != 0 && count < taken.Length);

            _words[index] &= ~moved;
            other._words[index] |= moved;
            if (count == taken.Length)
            {
                return taken[^1].Value;
            }
        }
    }

    private void ForRange(int first, int end, bool isSet)
    {
        var (firstWord, lastWord) = (first >> 6, (end - 1) >> 6);
        for (var index = firstWord; index <= lastWord; index++)
        {
            var mask = ulong.MaxValue;
            mask &= index == firstWord ? ulong.MaxValue << (first & 63) : ulong.MaxValue;
            mask &= index == lastWord ? ulong.MaxValue >> (63 - ((end - 1) & 63)) : ulong.MaxValue;
            _words[index] = isSet ? _words[index] | mask : _words[index] & ~mask;
        }
    }
}
