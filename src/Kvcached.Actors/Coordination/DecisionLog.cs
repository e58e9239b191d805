using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <summary>
/// The last decisions of one pool in this epoch, so that a rank that missed some gets them again; bounded, since a rank that is
/// further behind gets the whole table instead.
/// </summary>
internal sealed class DecisionLog(int capacity)
{
    private readonly Entry[] _entries = new Entry[capacity];
    private long _firstSeq;
    private int _count;

    /// <param name="Decision">The decision.</param>
    /// <param name="Expected">Digest of a table that has it applied.</param>
    public readonly record struct Entry(Decision Decision, LayoutDigest Expected);

    /// <summary>Adds the next decision; their numbers have no gaps.</summary>
    public void Append(Decision decision, LayoutDigest expected)
    {
        if (_count == 0)
        {
            _firstSeq = decision.Seq;
        }

        _entries[decision.Seq % capacity] = new Entry(decision, expected);
        if (_count == capacity)
        {
            _firstSeq++;
        }
        else
        {
            _count++;
        }
    }

    public bool TryFind(long seq, out Entry entry)
    {
        var found = seq >= _firstSeq && seq < _firstSeq + _count;
        entry = found ? _entries[seq % capacity] : default;
        return found;
    }

    /// <summary>All decisions after <paramref name="seq"/>, in order; false when some of them are forgotten.</summary>
    public bool TryReadAfter(long seq, out IReadOnlyList<Entry> entries)
    {
        var after = new List<Entry>();
        for (var next = Math.Max(seq + 1, _firstSeq); next < _firstSeq + _count; next++)
        {
            after.Add(_entries[next % capacity]);
        }

        entries = after;
        return _count == 0 || seq + 1 >= _firstSeq;
    }

    /// <summary>Forgets everything: a table was installed in place of it.</summary>
    public void Clear()
    {
        Array.Clear(_entries);
        _count = 0;
    }
}
