using Kvcached.Client.Native.Abi;

namespace Kvcached.Client.Native.Events;

/// <summary>
/// Events kept until somebody polls for them: a ring of fixed size. When it is full the oldest make room, and the next that is taken says how many are
/// missing. Not thread-safe.
/// </summary>
internal sealed class EventQueue(int capacity)
{
    private readonly AbiEvent[] _ring = new AbiEvent[capacity];
    private int _first;
    private long _lostCount;

    /// <summary>Events kept, without the one that tells of lost ones.</summary>
    public int Count { get; private set; }

    public bool IsEmpty => Count == 0 && _lostCount == 0;

    public void Add(in AbiEvent happened)
    {
        if (Count == _ring.Length)
        {
            _first = (_first + 1) % _ring.Length;
            Count--;
            _lostCount++;
        }

        _ring[(_first + Count) % _ring.Length] = happened;
        Count++;
    }

    /// <summary>Takes as many as fit, oldest first, and returns how many.</summary>
    public int Take(Span<AbiEvent> destination)
    {
        var taken = 0;
        if (_lostCount > 0 && destination.Length > 0)
        {
            destination[taken++] = new AbiEvent { Kind = EventKind.Lost, LostCount = _lostCount };
            _lostCount = 0;
        }

        while (taken < destination.Length && Count > 0)
        {
            destination[taken++] = _ring[_first];
            _first = (_first + 1) % _ring.Length;
            Count--;
        }

        return taken;
    }
}
