using System.Collections.Immutable;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Scheduling;

/// <content>What may leave: what is asked back, and what has been idle.</content>
public sealed partial class PoolBlocks
{
    /// <summary>
    /// Lets go of those of the extents that have no used block and aren't pinned, in one step with allocation. <see cref="Returned"/> is due when
    /// their return is answered, or <see cref="Add"/> when they are kept after all.
    /// </summary>
    /// <param name="extents">What is asked back; unknown ones are passed over.</param>
    /// <param name="evictCached">Whether cached blocks may be lost for it.</param>
    public GivenUpExtents GiveUp(ImmutableArray<Extent> extents, bool evictCached)
    {
        var givenUp = ImmutableArray.CreateBuilder<Extent>();
        var fence = EngineStep.None;
        foreach (var extent in extents)
        {
            if (IsGroup(extent.Group) && TryGiveUp(extent, evictCached, ref fence))
            {
                givenUp.Add(extent);
            }
        }

        return new GivenUpExtents(givenUp.ToImmutable(), fence);
    }

    /// <summary>Lets go of warm extents of a group, longest idle first, until so many warm pages are left; like <see cref="GiveUp"/>.</summary>
    /// <param name="group">The KV group.</param>
    /// <param name="warmPagesToKeep">Warm pages to leave; those of pinned extents don't count.</param>
    /// <param name="minimumIdle">Only extents that have been idle for so long.</param>
    /// <param name="now">Monotonic time, of the same origin as in <see cref="LastUse"/>.</param>
    public GivenUpExtents TakeWarm(int group, int warmPagesToKeep, TimeSpan minimumIdle, TimeSpan now)
    {
        var warm = WarmOf(group);
        var left = warm.Sum(w => w.Extent.PageCount);
        var taken = ImmutableArray.CreateBuilder<Extent>();
        var fence = EngineStep.None;
        foreach (var candidate in warm.OrderBy(w => w.LastUse.Time))
        {
            if (now - candidate.LastUse.Time >= minimumIdle && left - candidate.Extent.PageCount >= warmPagesToKeep
                && TryGiveUp(candidate.Extent, evictCached: false, ref fence))
            {
                left -= candidate.Extent.PageCount;
                taken.Add(candidate.Extent);
            }
        }

        return new GivenUpExtents(taken.ToImmutable(), fence);
    }

    /// <summary>All extents that could be given up, with how long they have been idle.</summary>
    /// <param name="now">Monotonic time.</param>
    /// <param name="withCached">Whether those that hold only cached blocks count.</param>
    public ImmutableArray<IdleExtent> FindIdle(TimeSpan now, bool withCached)
    {
        var idle = ImmutableArray.CreateBuilder<IdleExtent>();
        for (var group = 0; group < _groups.Length; group++)
        {
            foreach (var warm in WarmOf(group))
            {
                idle.Add(new IdleExtent(warm.Extent, now - warm.LastUse.Time));
            }

            if (withCached && _groups[group].CachedBlockCount > 0)
            {
                var evictable = new WarmExtent[_groups[group].ExtentCount];
                var count = _groups[group].CopyEvictable(evictable);
                idle.AddRange(evictable.Take(count).Where(w => !Pins.IsPinned(w.Extent)).Select(w => new IdleExtent(w.Extent, now - w.LastUse.Time)));
            }
        }

        return idle.ToImmutable();
    }

    /// <summary>Pages of warm extents of a group that aren't pinned.</summary>
    public int WarmPagesOf(int group) => WarmOf(group).Sum(w => w.Extent.PageCount);

    /// <summary>When the warm extent of any group that has been idle longest became so; null when nothing is warm.</summary>
    public TimeSpan? FindLongestIdleSince()
    {
        TimeSpan? earliest = null;
        for (var group = 0; group < _groups.Length; group++)
        {
            if (_groups[group].WarmExtentCount > 0)
            {
                foreach (var warm in WarmOf(group))
                {
                    earliest = earliest is null || warm.LastUse.Time < earliest ? warm.LastUse.Time : earliest;
                }
            }
        }

        return earliest;
    }

    private WarmExtent[] WarmOf(int group)
    {
        var warm = new WarmExtent[_groups[group].WarmExtentCount];
        var count = _groups[group].CopyWarm(warm);
        return Pins.Count == 0 ? warm[..count] : [.. warm.Take(count).Where(w => !Pins.IsPinned(w.Extent))];
    }

    private bool TryGiveUp(in Extent extent, bool evictCached, ref EngineStep fence)
    {
        if (Pins.IsPinned(extent))
        {
            return false;
        }

        // Who hears of evictions must hear of these before their tags are gone; so it is done here, and only if the extent will really leave.
        var allocator = _groups[extent.Group];
        if (evictCached && allocator.TryGiveUp(extent, evictCached: false, out var lastUse) is var result and not GiveUpResult.Cached)
        {
            return Settle(extent, result, lastUse, ref fence);
        }

        if (evictCached)
        {
            var cached = CachedOf(allocator, extent);
            Announce(allocator, cached);
            allocator.Evict(cached);
        }

        return Settle(extent, allocator.TryGiveUp(extent, evictCached: false, out lastUse), lastUse, ref fence);
    }

    private bool Settle(in Extent extent, GiveUpResult result, LastUse lastUse, ref EngineStep fence)
    {
        if (result != GiveUpResult.GivenUp)
        {
            return false;
        }

        _leaving.Add(extent);
        fence = EngineStep.Later(fence, new EngineStep(lastUse.Step));
        WarmVersion++;
        return true;
    }
}
