using System.Collections.Immutable;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Scheduling;

namespace Kvcached.Client;

/// <content>Extents as they come, are asked back, are asked about and leave; called by the session.</content>
public sealed partial class KvPool
{
    /// <summary>Extents that every rank has mapped: their blocks can be handed out from now on.</summary>
    internal void Add(ImmutableArray<Extent> extents)
    {
        lock (_lock)
        {
            if (_withdrawn is null)
            {
                _blocks.Add(extents, Now);
                SetNullBlocksAside();
            }
        }
    }

    /// <summary>Lets go of those extents that can go, in one step with allocation. Who listens hears of it by <see cref="TellRevoked"/>, once the answer is sent.</summary>
    internal GivenUpExtents GiveUp(ImmutableArray<Extent> extents)
    {
        lock (_lock)
        {
            var givenUp = _withdrawn is null ? WithInheritedFence(_blocks.GiveUp(extents, Options.IsGivingUpCached)) : GivenUpExtents.None;
            _revokedExtents += givenUp.Extents.Length;
            return givenUp;
        }
    }

    internal void TellRevoked(ImmutableArray<Extent> asked, GivenUpExtents givenUp)
    {
        KvProcess.Guard(TellEvicted);
        KvProcess.Guard(() => ShrinkAsked?.Invoke(new ShrinkAsked(asked.Sum(e => e.PageCount), givenUp.PageCount)));
    }

    /// <summary>Those of the extents that this pool neither holds, in that generation, nor is giving back.</summary>
    internal ImmutableArray<Extent> FindForeign(ImmutableArray<Extent> extents)
    {
        lock (_lock)
        {
            return _blocks.FindForeign(extents);
        }
    }

    /// <summary>Which of the extents this pool holds, and which it never will.</summary>
    internal (ImmutableArray<Extent> Held, ImmutableArray<Extent> Unknown) Check(ImmutableArray<GrantedExtent> extents, Func<RequestId, bool> isWaiting)
    {
        lock (_lock)
        {
            return _blocks.Check(extents, isWaiting);
        }
    }

    /// <summary>Their return was answered, and they don't come back.</summary>
    internal void Returned(ImmutableArray<Extent> extents)
    {
        lock (_lock)
        {
            _blocks.Returned(extents);
        }
    }
}
