using System.Collections.Immutable;
using Kvcached.Client.Pools;
using Kvcached.Client.Sessions;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Scheduling;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client;

/// <content>What the session's thread does by the clock: growth ahead of need, decay; and how a pool begins and ends.</content>
public sealed partial class KvPool
{
    private static readonly TimeSpan GrowthDeadline = TimeSpan.FromSeconds(2);

    private long _reportedWarmVersion;
    private long _keptVersion;
    private long _grants;
    private long _refusals;
    private long _revokedExtents;
    private long _returnedExtents;

    /// <summary>The journal that the host is to keep; null without one.</summary>
    internal (SafeFileHandle Descriptor, long ByteCount)? Journal
    {
        get
        {
            lock (_lock)
            {
                return _journal is { } journal && _withdrawn is null ? (journal.Descriptor, journal.ByteCount) : null;
            }
        }
    }

    /// <summary>Takes over what is mapped, with the blocks that a predecessor's journal says are complete.</summary>
    internal void TakeOver(ImmutableArray<Extent> extents, SafeFileHandle? predecessor)
    {
        lock (_lock)
        {
            _blocks.Add(extents, Now);

            // Its last steps may still run in the workers, and nobody knows which they were.
            _inherited.UnionWith(extents);
            if (Options.IsKeepingTags)
            {
                _journal = TagFile.TryCreate(Spec.Geometry, out var problem);
                TagsProblem = _journal is null ? problem : null;
                _evictions.Journal = _journal;
            }

            if (predecessor is not null)
            {
                TagFile.Restore(predecessor, Spec.Geometry, _blocks, extents, new LastUse(0, Now));
                CopyTagsToJournal();
            }

            SetNullBlocksAside();
        }
    }

    /// <summary>The pool is gone: no block can be handed out any more.</summary>
    internal void Withdraw(Refusal refusal)
    {
        lock (_lock)
        {
            if (_withdrawn is not null)
            {
                return;
            }

            _withdrawn = refusal;
        }

        if (refusal.Reason == RefusalReason.PoolLost)
        {
            DropJournal();
        }
        else
        {
            Forget();
        }

        KvProcess.Guard(() => WithdrawnByDomain?.Invoke(refusal));
    }

    /// <summary>All that could be given up, when it may have changed since the last report.</summary>
    internal bool TryReadIdle(out ImmutableArray<IdleExtent> idle)
    {
        lock (_lock)
        {
            idle = [];
            if (_withdrawn is not null || _blocks.WarmVersion == _reportedWarmVersion)
            {
                return false;
            }

            _reportedWarmVersion = _blocks.WarmVersion;
            idle = _blocks.FindIdle(Now, Options.IsGivingUpCached);
            return true;
        }
    }

    /// <summary>Grows ahead of need and lets idle extents decay. True when blocks came or went since the last time, so that it should be called often.</summary>
    internal bool Upkeep()
    {
        var isBusy = false;
        for (var group = 0; group < _groups.Length; group++)
        {
            var state = _groups[group];
            int pages;
            GivenUpExtents decayed;
            lock (_lock)
            {
                if (_withdrawn is not null || !_port.Lease.IsHeld)
                {
                    return false;
                }

                isBusy |= _blocks.WarmVersion != _keptVersion;
                _keptVersion = _blocks.WarmVersion;

                var now = Now;
                var blocks = _blocks.Groups[group];
                state.Planner.Observe(now, (long)blocks.UsedBlockCount + blocks.CachedBlockCount);
                state.WantedFreeBlocks = state.Planner.WantedFreeBlocks;
                pages = Options.IsGrowingAhead && FindShrink() is null
                    ? state.Planner.PagesToRequest(now, new GrowthState(
                        (long)blocks.UsedBlockCount + blocks.CachedBlockCount, blocks.FreeBlockCount, blocks.HeldPageCount, state.ComingPages))
                    : 0;
                decayed = Options.WarmDecay == Timeout.InfiniteTimeSpan || blocks.WarmExtentCount == 0
                    ? GivenUpExtents.None
                    : WithInheritedFence(_blocks.TakeWarm(
                        group, Math.Max(Options.WarmPagesToKeep, state.PagesOf(state.WantedFreeBlocks)), Options.WarmDecay, now));
                _returnedExtents += decayed.Extents.Length;
            }

            if (pages > 0)
            {
                AskForPages(group, state, pages, GrowthDeadline);
            }

            if (!decayed.IsEmpty)
            {
                Return(decayed);
            }
        }

        return isBusy;
    }

    private PendingRequest AskForPages(int group, GroupState state, int pages, TimeSpan deadline)
    {
        lock (_lock)
        {
            state.ComingPages += pages;
        }

        var request = new PendingRequest(
            (session, id, acked) => new EngineProtocol.AllocatePages(session, id, acked, Id, group, pages, deadline),
            reply =>
            {
                lock (_lock)
                {
                    state.ComingPages -= pages;
                    if (reply is EngineProtocol.PagesAllocated)
                    {
                        _grants++;
                        state.Planner.Granted();
                    }
                    else
                    {
                        _refusals++;
                        state.Planner.Refused(Now);
                    }
                }
            })
        { Pool = Id };
        _port.Submit(request);
        return request;
    }

    /// <summary>Gives extents back that the allocators have let go of. When the coordinator is too busy for it, they are taken again, and decay later.</summary>
    private PendingRequest Return(GivenUpExtents leaving)
    {
        var request = new PendingRequest(
            (session, id, acked) => new EngineProtocol.FreeExtents(session, id, acked, Id, leaving.Extents, leaving.Fence),
            reply =>
            {
                switch ((reply as EngineProtocol.RequestRefused)?.Refusal.Reason)
                {
                    case RefusalReason.Busy:
                        TakeAgain(leaving);
                        break;
                    case RefusalReason.StaleExtent when leaving.Extents.Length > 1:
                        // One that is gone already must not keep the others.
                        foreach (var one in leaving.Singly())
                        {
                            Return(one);
                        }

                        break;
                    default:
                        Returned(leaving.Extents);
                        break;
                }
            })
        { Pool = Id };
        _port.Submit(request);
        return request;
    }

    private void TakeAgain(GivenUpExtents leaving)
    {
        lock (_lock)
        {
            // They are still fenced by what used them before.
            _inherited.UnionWith(leaving.Fence > EngineStep.None ? leaving.Extents : []);
        }

        Add(leaving.Extents);
    }

    /// <summary>Extents of which nobody knows which step used them last are fenced by all work submitted.</summary>
    private GivenUpExtents WithInheritedFence(GivenUpExtents givenUp)
    {
        if (_inherited.Count == 0 || givenUp.IsEmpty)
        {
            return givenUp;
        }

        var isInherited = false;
        foreach (var extent in givenUp.Extents)
        {
            isInherited |= _inherited.Remove(extent);
        }

        return isInherited ? givenUp with { Fence = EngineStep.Sync } : givenUp;
    }

    private void SetNullBlocksAside()
    {
        Span<BlockId> one = stackalloc BlockId[1];
        for (var group = 0; Options.HasNullBlock && group < _groups.Length; group++)
        {
            if (_groups[group].NullBlock is null && _blocks.TryAllocateEvicting(group, one))
            {
                _groups[group].NullBlock = one[0];
            }
        }
    }

    private void CopyTagsToJournal()
    {
        for (var group = 0; _journal is not null && group < _groups.Length; group++)
        {
            foreach (var tagged in _blocks.Groups[group].EnumerateTagged())
            {
                Note(group, tagged.Block, tagged.Tag);
            }
        }
    }

    private void Forget()
    {
        _port.Forget(Id);
        DropJournal();
    }

    private void DropJournal()
    {
        lock (_lock)
        {
            _evictions.Journal = null;
            _journal?.Dispose();
            _journal = null;
        }
    }
}
