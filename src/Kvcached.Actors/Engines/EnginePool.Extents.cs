using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Engines;

/// <content>Extents as they come, are asked back and leave; called by the session.</content>
internal sealed partial class EnginePool
{
    /// <summary>Extents that every rank has mapped: their blocks can be handed out from now on.</summary>
    public void Add(ImmutableArray<Extent> extents)
    {
        lock (_lock)
        {
            if (_withdrawn is not null)
            {
                return;
            }

            foreach (var extent in extents)
            {
                if (extent.Group < _blocks.Length)
                {
                    _blocks[extent.Group].AddExtent(extent, Now);
                }
            }

            _warmVersion++;
        }
    }

    /// <summary>Lets go of those extents that have no used block, in one step with allocation.</summary>
    public ImmutableArray<Extent> GiveUp(ImmutableArray<Extent> extents)
    {
        lock (_lock)
        {
            ImmutableArray<Extent> givenUp =
            [
                .. extents.Where(e => e.Group >= 0 && e.Group < _blocks.Length
                    && _blocks[e.Group].TryGiveUp(e, evictCached: false, out _) == GiveUpResult.GivenUp),
            ];
            _revokedExtents += givenUp.Length;
            _warmVersion += givenUp.Length;
            return givenUp;
        }
    }

    /// <summary>Those of the extents that this pool doesn't hold, in that generation.</summary>
    public ImmutableArray<Extent> FindForeign(ImmutableArray<Extent> extents)
    {
        lock (_lock)
        {
            return [.. extents.Where(e => e.Group < 0 || e.Group >= _blocks.Length || !_blocks[e.Group].Holds(e))];
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
            if (_withdrawn is not null || _warmVersion == _reportedWarmVersion)
            {
                return false;
            }

            _reportedWarmVersion = _warmVersion;
            var now = Now;
            warm = [.. _blocks.SelectMany(WarmOf).Select(w => new IdleExtent(w.Extent, now - w.LastUse.Time))];
            return true;
        }
    }

    private static WarmExtent[] WarmOf(BlockAllocator blocks)
    {
        var warm = new WarmExtent[blocks.WarmExtentCount];
        return warm[..blocks.CopyWarm(warm)];
    }

    private static int WarmPages(BlockAllocator blocks) => WarmOf(blocks).Sum(w => w.Extent.PageCount);

    /// <summary>Takes warm extents out of the allocator, longest idle first, until so many warm pages are left.</summary>
    private ImmutableArray<Extent> TakeWarm(int group, int warmPagesToKeep, TimeSpan minimumIdle)
    {
        lock (_lock)
        {
            if (_withdrawn is not null)
            {
                return [];
            }

            var blocks = _blocks[group];
            var warm = WarmOf(blocks);
            var left = warm.Sum(w => w.Extent.PageCount);
            var taken = ImmutableArray.CreateBuilder<Extent>();
            foreach (var candidate in warm.OrderBy(w => w.LastUse.Time))
            {
                var isLongEnough = Now - candidate.LastUse.Time >= minimumIdle;
                if (isLongEnough && left - candidate.Extent.PageCount >= warmPagesToKeep
                    && blocks.TryGiveUp(candidate.Extent, evictCached: false, out _) == GiveUpResult.GivenUp)
                {
                    left -= candidate.Extent.PageCount;
                    taken.Add(candidate.Extent);
                    _warmVersion++;
                }
            }

            return taken.ToImmutable();
        }
    }
}
