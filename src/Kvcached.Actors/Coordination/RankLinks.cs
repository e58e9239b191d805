using System.Diagnostics.CodeAnalysis;
using Akka.Actor;
using Kvcached.Actors.Lanes;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <summary>What a coordinator does with a registration.</summary>
internal enum LinkStep
{
    /// <summary>Nothing: it isn't settled yet how the rank is reached. It registers again.</summary>
    Wait,

    /// <summary>The rank is reached as before.</summary>
    Known,

    /// <summary>A lane is asked for; until that is answered, nothing is sent.</summary>
    Dial,

    /// <summary>The rank is reached by its actor from now on.</summary>
    ByActor,
}

/// <summary>
/// How each rank is reached. At any time by one link only, and another takes its place only when nothing that was sent by the first can come later: another page
/// mapper has begun, the lane never opened, or the rank says that it has ended and all of it was taken in. A rank that lost its lane stays with
/// Akka.Remote until its mapper or the epoch is another.
/// </summary>
internal sealed class RankLinks
{
    private readonly Dictionary<GpuId, Entry> _entries = [];
    private long _lastSerial;

    private enum Phase
    {
        Dialling,
        Open,
        Broken,
    }

    public IEnumerable<IActorRef> Mappers => _entries.Values.Select(e => e.Mapper);

    /// <summary>A rank makes itself known.</summary>
    /// <param name="registration">What it says.</param>
    /// <param name="epoch">The coordinator's.</param>
    /// <param name="mayDial">True when a lane to it may be had.</param>
    /// <param name="lane">For <see cref="LinkStep.Dial"/>: the lane to ask for.</param>
    /// <param name="isNewMapper">True when the mapper is one that wasn't known.</param>
    public LinkStep Register(RankProtocol.RegisterRank registration, Epoch epoch, bool mayDial, out LaneId lane, out bool isNewMapper)
    {
        lane = default;
        var known = _entries.GetValueOrDefault(registration.Gpu);
        isNewMapper = known is null || !known.Mapper.Equals(registration.Mapper);
        if (isNewMapper)
        {
            known?.Link?.Close();
            lane = mayDial ? new LaneId(epoch, ++_lastSerial) : default;
            _entries[registration.Gpu] = new Entry(registration.Mapper, registration.Incarnation)
            {
                Phase = mayDial ? Phase.Dialling : Phase.Open,
                Lane = lane,
                Registration = registration,
                HasPredecessor = known?.Incarnation == registration.Incarnation,
            };
            return mayDial ? LinkStep.Dial : LinkStep.ByActor;
        }

        known!.Registration = registration;
        if (known.Phase == Phase.Broken && registration.Lane is { } offer && new LaneId(offer.EndedEpoch, offer.EndedSerial) >= known.Lane)
        {
            known.Phase = Phase.Open;
            known.HasPredecessor = true;
            return LinkStep.ByActor;
        }

        return known.Phase == Phase.Open ? LinkStep.Known : LinkStep.Wait;
    }

    /// <summary>The rank is reached that way from now on.</summary>
    /// <param name="gpu">The rank.</param>
    /// <param name="link">The way.</param>
    /// <param name="hasPredecessor">True when its mapper, or another of the same host, was reached another way before.</param>
    /// <returns>The registration that waited for it.</returns>
    public RankProtocol.RegisterRank Use(GpuId gpu, IRankLink link, out bool hasPredecessor)
    {
        var entry = _entries[gpu];
        (entry.Phase, entry.Link, hasPredecessor) = (Phase.Open, link, entry.HasPredecessor);
        return entry.Registration;
    }

    /// <summary>True while that lane is asked for and the rank waits for it.</summary>
    public bool IsDialling(GpuId gpu, LaneId lane) => _entries.GetValueOrDefault(gpu) is { Phase: Phase.Dialling } entry && entry.Lane == lane;

    /// <summary>A lane has ended. False when it isn't the rank's link any more.</summary>
    public bool Break(GpuId gpu, LaneId lane)
    {
        if (_entries.GetValueOrDefault(gpu) is not { Phase: Phase.Open } entry || entry.Lane != lane || entry.IsByActor)
        {
            return false;
        }

        entry.Phase = Phase.Broken;
        return true;
    }

    /// <summary>The link to a rank that can be reached; what is sent meanwhile to another is lost.</summary>
    public bool TryGet(GpuId gpu, [NotNullWhen(true)] out IRankLink? link)
    {
        link = _entries.GetValueOrDefault(gpu) is { Phase: Phase.Open } entry ? entry.Link : null;
        return link is not null;
    }

    public IActorRef MapperOf(GpuId gpu) => _entries[gpu].Mapper;

    /// <summary>The incarnation behind a rank's mapper, when it is that one.</summary>
    public bool TryGetIncarnation(GpuId gpu, IActorRef mapper, out HostIncarnation incarnation)
    {
        var entry = _entries.GetValueOrDefault(gpu);
        incarnation = entry?.Incarnation ?? default;
        return entry is not null && entry.Mapper.Equals(mapper);
    }

    /// <summary>The ranks of a node, with whether something can be sent to them.</summary>
    public IReadOnlyList<(GpuId Gpu, HostIncarnation Incarnation, bool IsOpen)> Of(Func<IActorRef, bool> isOfNode) =>
        [.. _entries.Where(e => isOfNode(e.Value.Mapper)).Select(e => (e.Key, e.Value.Incarnation, e.Value.Phase == Phase.Open))];

    public void Remove(GpuId gpu)
    {
        if (_entries.Remove(gpu, out var entry))
        {
            entry.Link?.Close();
        }
    }

    /// <summary>Lets go of all links: the epoch they belong to is over.</summary>
    public void Clear()
    {
        foreach (var gpu in _entries.Keys.ToArray())
        {
            Remove(gpu);
        }
    }

    private sealed class Entry(IActorRef mapper, HostIncarnation incarnation)
    {
        public IActorRef Mapper { get; } = mapper;

        public HostIncarnation Incarnation { get; } = incarnation;

        public Phase Phase { get; set; }

        /// <summary>Its last lane; default when it never had one.</summary>
        public LaneId Lane { get; init; }

        public IRankLink? Link { get; set; }

        public bool IsByActor => Link is ActorRankLink;

        public bool HasPredecessor { get; set; }

        public required RankProtocol.RegisterRank Registration { get; set; }
    }
}
