using System.Numerics;

namespace Kvcached.Actors.Coordination;

/// <summary>A set of rank numbers of one pool.</summary>
internal sealed class RankSet
{
    private readonly ulong[] _words;

    private RankSet(int rankCount) => _words = new ulong[(rankCount + 63) / 64];

    public int Count { get; private set; }

    public static RankSet Empty(int rankCount) => new(rankCount);

    public static RankSet All(int rankCount)
    {
        var set = new RankSet(rankCount) { Count = rankCount };
        for (var word = 0; word < set._words.Length; word++)
        {
            var bits = Math.Min(64, rankCount - (word * 64));
            set._words[word] = bits == 64 ? ulong.MaxValue : (1UL << bits) - 1;
        }

        return set;
    }

    public bool Contains(int rank) => (_words[rank >> 6] >> (rank & 63) & 1) != 0;

    /// <summary>False when the rank was in already.</summary>
    public bool Add(int rank)
    {
        if (Contains(rank))
        {
            return false;
        }

        _words[rank >> 6] |= 1UL << (rank & 63);
        Count++;
        return true;
    }

    /// <summary>False when the rank wasn't in.</summary>
    public bool Remove(int rank)
    {
        if (!Contains(rank))
        {
            return false;
        }

        _words[rank >> 6] &= ~(1UL << (rank & 63));
        Count--;
        return true;
    }

    public IEnumerable<int> Ranks()
    {
        for (var word = 0; word < _words.Length; word++)
        {
            for (var bits = _words[word]; bits != 0; bits &= bits - 1)
            {
                yield return (word * 64) + BitOperations.TrailingZeroCount(bits);
            }
        }
    }
}
