using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Scheduling;

namespace Kvcached.Actors.Engines;

/// <content>Extents as they come, are asked back and leave; called by the session.</content>
internal sealed partial class EnginePool
{
    /// <summary>Extents that every rank has mapped: their blocks can be handed out from now on.</summary>
    public void Add(ImmutableArray<Extent> extents)
    {
        lock (_lock)
        {
            if (_withdrawn is null)
            {
                _blocks.Add(extents, Now);
            }
        }
    }

    /// <summary>Lets go of those extents that have no used block, in one step with allocation.</summary>
    public ImmutableArray<Extent> GiveUp(ImmutableArray<Extent> extents)
    {
        lock (_lock)
        {
            var givenUp = _blocks.GiveUp(extents, evictCached: false).Extents;
            _revokedExtents += givenUp.Length;
            return givenUp;
        }
    }

    /// <summary>Lets go of warm extents, longest idle first, that take so many bytes on each GPU.</summary>
    public ImmutableArray<Extent> GiveUp(ImmutableArray<GpuBytes> wanted)
    {
        lock (_lock)
        {
            ImmutableArray<long> byRank = [.. Spec.Geometry.Ranks.Select(rank => wanted.Where(item => item.Gpu == rank.Gpu).Sum(item => Math.Max(0, item.ByteCount)))];
            return GiveUp(_blocks.FindCheapest(byRank, (extent, rank) => _layouts[rank].BytesOf(extent), withCached: false));
        }
    }

    /// <summary>Those of the extents that this pool neither holds, in that generation, nor is giving back.</summary>
    public ImmutableArray<Extent> FindForeign(ImmutableArray<Extent> extents)
    {
        lock (_lock)
        {
            return _blocks.FindForeign(extents);
        }
    }

    /// <summary>Which of the extents this pool holds, and which it never will.</summary>
    public (ImmutableArray<Extent> Held, ImmutableArray<Extent> Unknown) Check(ImmutableArray<GrantedExtent> extents, Func<RequestId, bool> isWaiting)
    {
        lock (_lock)
        {
            return _blocks.Check(extents, isWaiting);
        }
    }

    /// <summary>Their return was answered, and they don't come back.</summary>
    public void Returned(ImmutableArray<Extent> extents)
    {
        lock (_lock)
        {
            _blocks.Returned(extents);
        }
    }

    /// <summary>The pool is gone: no block can be handed out any more.</summary>
    public void Withdraw(Refusal refusal)
    {
        lock (_lock)
        {
            _withdrawn ??= refusal;
        }
    }

    /// <summary>All warm extents, when they may have changed since the last report.</summary>
    public bool TryReadWarm(out ImmutableArray<IdleExtent> warm)
    {
        lock (_lock)
        {
            warm = [];
            if (_withdrawn is not null || _blocks.WarmVersion == _reportedWarmVersion)
            {
                return false;
            }

            _reportedWarmVersion = _blocks.WarmVersion;
            warm = _blocks.FindIdle(Now, withCached: false);
            return true;
        }
    }

    /// <summary>Takes warm extents out of the allocator, longest idle first, until so many warm pages are left.</summary>
    private GivenUpExtents TakeWarm(int group, int warmPagesToKeep, TimeSpan minimumIdle)
    {
        lock (_lock)
        {
            return _withdrawn is null ? _blocks.TakeWarm(group, warmPagesToKeep, minimumIdle, Now) : GivenUpExtents.None;
        }
    }
}
