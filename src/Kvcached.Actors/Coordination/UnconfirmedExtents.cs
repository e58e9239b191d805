using System.Collections.Immutable;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <summary>
/// Extents of a pool of which its engine may not know, because an earlier coordinator answered the request that they were granted to.
/// They are asked about in turns, so that those that can't be decided yet don't keep the others waiting.
/// </summary>
internal sealed class UnconfirmedExtents
{
    private readonly HashSet<Extent> _extents = [];
    private readonly Queue<Extent> _turns = new();

    public int Count => _extents.Count;

    /// <summary>When they were last asked about; null before that.</summary>
    public TimeSpan? AskedAt { get; set; }

    public void Add(ImmutableArray<Extent> extents)
    {
        foreach (var extent in extents)
        {
            if (_extents.Add(extent))
            {
                _turns.Enqueue(extent);
            }
        }
    }

    /// <summary>Nothing is to be asked about it any more.</summary>
    /// <returns>False when nothing was.</returns>
    public bool Settle(in Extent extent) => _extents.Remove(extent);

    /// <summary>Those whose turn it is; they stay until settled.</summary>
    /// <param name="count">How many at most.</param>
    /// <param name="isMapped">What isn't mapped any more is forgotten.</param>
    public IReadOnlyList<Extent> TakeTurns(int count, Func<Extent, bool> isMapped)
    {
        var taken = new List<Extent>();
        for (var left = _turns.Count; left > 0 && taken.Count < count; left--)
        {
            var extent = _turns.Dequeue();
            if (!_extents.Contains(extent))
            {
                continue;
            }

            if (!isMapped(extent))
            {
                _extents.Remove(extent);
                continue;
            }

            _turns.Enqueue(extent);
            taken.Add(extent);
        }

        return taken;
    }
}
