using System.Numerics;
using System.Runtime.InteropServices;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>
/// The page ids of one KV group of a pool: hands them out as extents, takes whole extents back, and keeps the quarantined ones
/// blocked. Each operation takes O(log n) per extent. Not thread-safe.
/// </summary>
public sealed class ExtentAllocator
{
    private readonly GenerationCounter _generations;
    private readonly FreePages _free;
    private readonly ExtentMap _granted;
    private readonly ExtentMap _quarantined;
    private readonly List<Extent> _taken = [];

    /// <summary>All page ids are free.</summary>
    /// <param name="group">Index of the KV group, from 0.</param>
    /// <param name="virtualPageCount">Page ids of the group, from 1.</param>
    /// <param name="generations">The pool's counter, shared by its groups.</param>
    public ExtentAllocator(int group, int virtualPageCount, GenerationCounter generations)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(group);
        ArgumentOutOfRangeException.ThrowIfLessThan(virtualPageCount, 1);
        ArgumentNullException.ThrowIfNull(generations);
        Group = group;
        VirtualPageCount = virtualPageCount;
        _generations = generations;
        _free = new FreePages(virtualPageCount);
        _granted = new ExtentMap(group, virtualPageCount);
        _quarantined = new ExtentMap(group, virtualPageCount);
    }

    public int Group { get; }

    public int VirtualPageCount { get; }

    public int FreePageCount => _free.Count;

    public int GrantedPageCount => _granted.PageCount;

    public int QuarantinedPageCount => _quarantined.PageCount;

    /// <summary>Order of the largest free extent; -1 when nothing is free.</summary>
    public int LargestFreeOrder => _free.LargestOrder;

    /// <summary>The extents that are handed out, by ascending page.</summary>
    public IEnumerable<Extent> Granted => _granted.Enumerate();

    /// <summary>The extents whose page ids are blocked, by ascending page.</summary>
    public IEnumerable<Extent> Quarantined => _quarantined.Enumerate();

    /// <summary>
    /// Hands out exactly <paramref name="pageCount"/> page ids as the fewest extents that alignment, free space and
    /// <paramref name="maxOrder"/> allow, from the best fitting free runs, lowest first; or nothing. A group's first extent begins with page 0.
    /// </summary>
    /// <param name="pageCount">Page ids wanted, from 1; a multiple of 2^<paramref name="minOrder"/>.</param>
    /// <param name="maxOrder">Order of the largest extent wanted, 0 to <see cref="Extent.MaxOrder"/> (see <see cref="ExtentCap"/>).</param>
    /// <param name="minOrder">Order of the smallest extent wanted, at most <paramref name="maxOrder"/>: fewer, larger mappings.</param>
    public ExtentAllocation TryAllocate(int pageCount, byte maxOrder, byte minOrder = 0)
    {
        if (pageCount < 1 || minOrder > maxOrder || maxOrder > Extent.MaxOrder || (pageCount & ((1 << minOrder) - 1)) != 0)
        {
            return Refuse(ExtentRefusal.BadRequest);
        }

        if (pageCount > _free.Count)
        {
            return Refuse(ExtentRefusal.NotEnoughPages);
        }

        _taken.Clear();
        for (var left = pageCount; left > 0;)
        {
            // The largest extent that fits is always in some smallest set: several smaller ones would have to stand in for it.
            var order = Math.Min(Math.Min(maxOrder, BitOperations.Log2((uint)left)), _free.LargestOrder);
            if (order < minOrder || !TryTake(order, out var first))
            {
                UndoTaken();
                return Refuse(ExtentRefusal.Fragmented);
            }

            _taken.Add(new Extent(Group, new PageId(first), (byte)order, 0));
            left -= 1 << order;
        }

        if (_generations.Remaining < (uint)_taken.Count)
        {
            UndoTaken();
            return Refuse(ExtentRefusal.GenerationsExhausted);
        }

        foreach (ref var extent in CollectionsMarshal.AsSpan(_taken))
        {
            extent = extent with { Generation = _generations.Next() };
            _granted.Add(extent);
        }

        return new ExtentAllocation(ExtentRefusal.None, [.. _taken], _free.Count, _free.LargestOrder);
    }

    /// <summary>
    /// Takes a run; while the group has nothing, the one that begins with page 0: engines that reserve block 0 for padding find it in their first extent,
    /// whatever the number of page ids is.
    /// </summary>
    private bool TryTake(int order, out int first)
    {
        first = 0;
        return (_granted.PageCount == 0 && _taken.Count == 0 && _free.TryTakeAt(first, order)) || _free.TryTake(order, out first);
    }

    /// <summary>Takes one granted extent back; its page ids are free at once.</summary>
    public ExtentFault Return(in Extent extent)
    {
        var fault = FindFault(extent);
        if (fault == ExtentFault.None)
        {
            _granted.Remove(extent);
            _free.Return(extent.First.Value, extent.Order);
        }

        return fault;
    }

    /// <summary>Takes granted extents back, all or none: for example those of a grant that a rank refused.</summary>
    public ExtentsFault Return(ReadOnlySpan<Extent> extents)
    {
        for (var i = 0; i < extents.Length; i++)
        {
            var fault = FindFault(extents[i]);
            if (fault != ExtentFault.None)
            {
                for (var undone = 0; undone < i; undone++)
                {
                    _granted.Add(extents[undone]);
                }

                return new ExtentsFault(fault, i);
            }

            // Taken out at once, so that the same extent further on is found out.
            _granted.Remove(extents[i]);
        }

        foreach (var extent in extents)
        {
            _free.Return(extent.First.Value, extent.Order);
        }

        return ExtentsFault.None;
    }

    /// <summary>Ends a grant but keeps its page ids blocked, because some rank may still have them mapped.</summary>
    public ExtentFault Quarantine(in Extent extent)
    {
        var fault = FindFault(extent);
        if (fault == ExtentFault.None)
        {
            _granted.Remove(extent);
            _quarantined.Add(extent);
        }

        return fault;
    }

    /// <summary>Blocks page ids that are free: a rank reports them as mapped, though nobody was granted them.</summary>
    public ExtentFault Block(in Extent extent)
    {
        if (FindMisplacement(extent) is var misplaced and not ExtentFault.None)
        {
            return misplaced;
        }

        if (!_free.TryTakeAt(extent.First.Value, extent.Order))
        {
            return ExtentFault.Overlaps;
        }

        _quarantined.Add(extent);
        return ExtentFault.None;
    }

    /// <summary>Frees the page ids of an extent that was quarantined or blocked: every rank has let go of it.</summary>
    public ExtentFault Unblock(in Extent extent)
    {
        if (FindMisplacement(extent) is var misplaced and not ExtentFault.None)
        {
            return misplaced;
        }

        if (!_quarantined.Contains(extent))
        {
            return _quarantined.OverlapsAny(extent) || _granted.OverlapsAny(extent) ? ExtentFault.Stale : ExtentFault.NotHeld;
        }

        _quarantined.Remove(extent);
        _free.Return(extent.First.Value, extent.Order);
        return ExtentFault.None;
    }

    /// <summary>
    /// Forgets everything and takes over what the ranks hold: a new coordinator's start. Raises the pool's generations above those
    /// seen. On a fault nothing is changed; the index counts through the granted extents and then the quarantined.
    /// </summary>
    public ExtentsFault Restore(ReadOnlySpan<Extent> granted, ReadOnlySpan<Extent> quarantined)
    {
        var restored = new FreePages(VirtualPageCount);
        var highest = 0u;
        for (var i = 0; i < granted.Length + quarantined.Length; i++)
        {
            ref readonly var extent = ref i < granted.Length ? ref granted[i] : ref quarantined[i - granted.Length];
            if (FindMisplacement(extent) is var misplaced and not ExtentFault.None)
            {
                return new ExtentsFault(misplaced, i);
            }

            if (!restored.TryTakeAt(extent.First.Value, extent.Order))
            {
                return new ExtentsFault(ExtentFault.Overlaps, i);
            }

            highest = Math.Max(highest, extent.Generation);
        }

        _free.Reset();
        _granted.Clear();
        _quarantined.Clear();
        _generations.RaiseTo(highest);
        foreach (ref readonly var extent in granted)
        {
            _free.TryTakeAt(extent.First.Value, extent.Order);
            _granted.Add(extent);
        }

        foreach (ref readonly var extent in quarantined)
        {
            _free.TryTakeAt(extent.First.Value, extent.Order);
            _quarantined.Add(extent);
        }

        return ExtentsFault.None;
    }

    private ExtentFault FindFault(in Extent extent)
    {
        if (FindMisplacement(extent) is var misplaced and not ExtentFault.None)
        {
            return misplaced;
        }

        if (_granted.Contains(extent))
        {
            return ExtentFault.None;
        }

        if (extent.Generation == 0 || extent.Generation > _generations.Last)
        {
            return ExtentFault.Foreign;
        }

        if (_quarantined.Contains(extent))
        {
            return ExtentFault.Quarantined;
        }

        return _granted.OverlapsAny(extent) || _quarantined.OverlapsAny(extent) ? ExtentFault.Stale : ExtentFault.NotHeld;
    }

    private ExtentFault FindMisplacement(in Extent extent)
    {
        if (!extent.IsWellFormed || extent.EndPage > VirtualPageCount)
        {
            return ExtentFault.Malformed;
        }

        return extent.Group == Group ? ExtentFault.None : ExtentFault.Foreign;
    }

    private ExtentAllocation Refuse(ExtentRefusal refusal) => new(refusal, [], _free.Count, _free.LargestOrder);

    private void UndoTaken()
    {
        foreach (var extent in _taken)
        {
            _free.Return(extent.First.Value, extent.Order);
        }
    }
}
