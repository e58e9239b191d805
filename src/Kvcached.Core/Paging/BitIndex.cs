using System.Numerics;

namespace Kvcached.Core.Paging;

/// <summary>
/// A set of small integers that finds its nearest member at or after, or at or before, any number in O(log64 n): words of 64
/// bits, and above them words that say which words below have a member.
/// </summary>
internal sealed class BitIndex
{
    private readonly ulong[][] _levels;
    private readonly int _length;

    /// <summary>An empty set of numbers below <paramref name="length"/>, which is at least 1.</summary>
    public BitIndex(int length)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        _length = length;
        var levels = new List<ulong[]>();
        var count = length;
        do
        {
            count = ((count - 1) >> 6) + 1;
            levels.Add(new ulong[count]);
        }
        while (count > 1);
        _levels = [.. levels];
    }

    public bool Contains(int member) =>
        (uint)member < (uint)_length && (_levels[0][member >> 6] & (1UL << (member & 63))) != 0;

    public void Add(int member)
    {
        foreach (var level in _levels)
        {
            ref var word = ref level[member >> 6];
            var before = word;
            word |= 1UL << (member & 63);
            if (before != 0)
            {
                return;
            }

            member >>= 6;
        }
    }

    public void Remove(int member)
    {
        foreach (var level in _levels)
        {
            ref var word = ref level[member >> 6];
            word &= ~(1UL << (member & 63));
            if (word != 0)
            {
                return;
            }

            member >>= 6;
        }
    }

    public void Clear()
    {
        foreach (var level in _levels)
        {
            Array.Clear(level);
        }
    }

    /// <summary>The lowest member that is at least <paramref name="from"/>, or -1.</summary>
    public int NextFrom(int from)
    {
        for (var depth = 0; depth < _levels.Length; depth++)
        {
            var level = _levels[depth];
            var word = from >> 6;
            if (word >= level.Length)
            {
                return -1;
            }

            var bits = level[word] & (ulong.MaxValue << (from & 63));
            if (bits != 0)
            {
                var found = (word << 6) | BitOperations.TrailingZeroCount(bits);
                while (depth-- > 0)
                {
                    found = (found << 6) | BitOperations.TrailingZeroCount(_levels[depth][found]);
                }

                return found;
            }

            from = word + 1;
        }

        return -1;
    }

    /// <summary>The highest member that is at most <paramref name="from"/>, or -1.</summary>
    public int PreviousFrom(int from)
    {
        from = Math.Min(from, _length - 1);
        for (var depth = 0; depth < _levels.Length; depth++)
        {
            if (from < 0)
            {
                return -1;
            }

            var word = from >> 6;
            var bits = _levels[depth][word] & (ulong.MaxValue >> (63 - (from & 63)));
            if (bits != 0)
            {
                var found = (word << 6) | (63 - BitOperations.LeadingZeroCount(bits));
                while (depth-- > 0)
                {
                    found = (found << 6) | (63 - BitOperations.LeadingZeroCount(_levels[depth][found]));
                }

                return found;
            }

            from = word - 1;
        }

        return -1;
    }
}
