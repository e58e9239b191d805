using System.Collections.Immutable;
using Kvcached.Core.Engines;
using Kvcached.Core.Scheduling;

namespace Kvcached.Client;

/// <content>Shrinking when the domain asks: at once as far as it goes, and further with every block that the engine frees until the deadline.</content>
public sealed partial class KvPool
{
    private readonly List<Shrink> _shrinks = [];

    private sealed class Shrink(long id, ImmutableArray<long> missingBytes, TimeSpan deadlineAt)
    {
        public long Id => id;

        /// <summary>What is still to be given up, by rank.</summary>
        public ImmutableArray<long> MissingBytes { get; set; } = missingBytes;

        public TimeSpan DeadlineAt => deadlineAt;
    }

    /// <summary>True while the domain waits for more than could be given up so far; the pool doesn't grow ahead meanwhile.</summary>
    internal bool IsShrinking
    {
        get
        {
            lock (_lock)
            {
                return FindShrink() is not null;
            }
        }
    }

    /// <summary>Gives up what it can now of what is asked for, and notes the rest. Who listens hears of it by <see cref="TellShrink"/>.</summary>
    internal GivenUpExtents Begin(EngineProtocol.ShrinkRequested asked)
    {
        lock (_lock)
        {
            if (_withdrawn is not null)
            {
                return GivenUpExtents.None;
            }

            var shrink = new Shrink(asked.ShrinkId, WantedOf(asked), Now + asked.Deadline);
            _shrinks.Add(shrink);
            return GiveUp(shrink);
        }
    }

    /// <summary>Gives up what has become free since for a shrink that isn't over. False when there is none, or nothing to give.</summary>
    internal bool TryGoOnShrinking(out long shrinkId, out GivenUpExtents givenUp)
    {
        lock (_lock)
        {
            (shrinkId, givenUp) = (0, GivenUpExtents.None);
            if (_withdrawn is null && FindShrink() is { } shrink)
            {
                shrinkId = shrink.Id;
                givenUp = GiveUp(shrink);
            }

            return !givenUp.IsEmpty;
        }
    }

    internal void TellShrink(EngineProtocol.ShrinkRequested asked, GivenUpExtents givenUp)
    {
        KvProcess.Guard(TellEvicted);
        var pages = 0L;
        var wanted = WantedOf(asked);
        for (var rank = 0; rank < wanted.Length; rank++)
        {
            var bytesPerPage = Spec.Geometry.Ranks[rank].Groups.Min(group => group.BytesPerPageId);
            var missing = wanted[rank] - givenUp.Extents.Sum(extent => _layouts[rank].BytesOf(extent));
            pages = Math.Max(pages, (missing + bytesPerPage - 1) / bytesPerPage);
        }

        var askedPages = (int)Math.Min(int.MaxValue, givenUp.PageCount + Math.Max(0, pages));
        KvProcess.Guard(() => ShrinkAsked?.Invoke(new ShrinkAsked(askedPages, givenUp.PageCount, asked.Deadline)));
    }

    /// <summary>Evictions of a shrink that goes on, once its answer is sent.</summary>
    internal void TellShrunk() => KvProcess.Guard(TellEvicted);

    /// <summary>By rank; of GPUs that the pool isn't on nothing.</summary>
    private ImmutableArray<long> WantedOf(EngineProtocol.ShrinkRequested asked) =>
        [.. Spec.Geometry.Ranks.Select(rank => asked.Wanted.Where(item => item.Gpu == rank.Gpu).Sum(item => Math.Max(0, item.ByteCount)))];

    private Shrink? FindShrink()
    {
        _shrinks.RemoveAll(shrink => shrink.MissingBytes.All(bytes => bytes <= 0) || shrink.DeadlineAt <= Now);
        return _shrinks.Count > 0 ? _shrinks[0] : null;
    }

    private GivenUpExtents GiveUp(Shrink shrink)
    {
        var cheapest = _blocks.FindCheapest(shrink.MissingBytes, (extent, rank) => _layouts[rank].BytesOf(extent), Options.IsGivingUpCached);
        var givenUp = WithInheritedFence(_blocks.GiveUp(cheapest, Options.IsGivingUpCached));
        shrink.MissingBytes = [.. shrink.MissingBytes.Select((bytes, rank) => bytes - givenUp.Extents.Sum(extent => _layouts[rank].BytesOf(extent)))];
        _revokedExtents += givenUp.Extents.Length;
        return givenUp;
    }
}
