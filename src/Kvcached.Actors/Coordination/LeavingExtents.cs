using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <summary>
/// Extents that are no longer in a pool's table but still held by some rank. Their page ids stay blocked on all ranks, and their
/// bytes count against the pool, until the last rank has let go.
/// </summary>
internal sealed class LeavingExtents(int rankCount)
{
    private readonly Dictionary<Extent, (RankSet Holding, RankSet Quarantined)> _extents = [];

    public int Count => _extents.Count;

    public IEnumerable<Extent> Extents => _extents.Keys;

    public bool Contains(in Extent extent) => _extents.ContainsKey(extent);

    /// <summary>Every rank holds the extent until it says otherwise.</summary>
    public void Add(in Extent extent) => _extents.Add(extent, (RankSet.All(rankCount), RankSet.Empty(rankCount)));

    /// <summary>A new coordinator found the extent quarantined on that rank.</summary>
    public void AddQuarantined(in Extent extent, int rank)
    {
        if (!_extents.TryGetValue(extent, out var state))
        {
            state = (RankSet.Empty(rankCount), RankSet.Empty(rankCount));
            _extents.Add(extent, state);
        }

        state.Holding.Add(rank);
        state.Quarantined.Add(rank);
    }

    public bool IsHeldBy(in Extent extent, int rank) => _extents.TryGetValue(extent, out var state) && state.Holding.Contains(rank);

    public bool IsQuarantinedOn(in Extent extent, int rank) => _extents.TryGetValue(extent, out var state) && state.Quarantined.Contains(rank);

    /// <summary>True when the extent was held there and not quarantined yet.</summary>
    public bool MarkQuarantined(in Extent extent, int rank) =>
        _extents.TryGetValue(extent, out var state) && state.Holding.Contains(rank) && state.Quarantined.Add(rank);

    /// <summary>The rank has let go.</summary>
    /// <returns>True when it was the last one, so that the page ids are free again.</returns>
    public bool Release(in Extent extent, int rank)
    {
        if (!_extents.TryGetValue(extent, out var state) || !state.Holding.Remove(rank))
        {
            return false;
        }

        state.Quarantined.Remove(rank);
        return state.Holding.Count == 0 && _extents.Remove(extent);
    }
}
