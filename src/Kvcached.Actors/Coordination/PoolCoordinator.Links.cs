using Akka.Actor;
using Akka.Cluster;
using Akka.Event;
using Kvcached.Actors.Lanes;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <content>How ranks are reached, and whether they can be.</content>
internal sealed partial class PoolCoordinator
{
    private readonly RankLinks _links = new();
    private LaneDialer? _dialer;

    private void Register(DomainState domain, RankProtocol.RegisterRank registration)
    {
        // Before its link takes the place of another's.
        if (domain.FindRegistrationProblem(registration) is { } problem)
        {
            registration.Mapper.Tell(new RankProtocol.RankRejected(domain.Epoch, problem), Self);
            return;
        }

        var step = _links.Register(registration, domain.Epoch, MayDial(registration), out var lane, out var isNewMapper);
        if (isNewMapper)
        {
            Context.WatchWith(registration.Mapper, new MapperEnded(registration.Gpu, registration.Mapper));
        }

        switch (step)
        {
            case LinkStep.Known:
                Enter(domain, registration);
                break;
            case LinkStep.ByActor:
                Use(domain, registration.Gpu, new ActorRankLink(registration.Mapper, Self));
                break;
            case LinkStep.Dial:
                _dialer ??= new LaneDialer(Context.System, Self);
                _dialer.Dial(registration.Lane!.SocketPath, new LaneHello(lane, registration.Domain, registration.Gpu, registration.Incarnation));
                break;
        }
    }

    /// <summary>A rank on this machine, in another process, that offers a lane.</summary>
    private bool MayDial(RankProtocol.RegisterRank registration) =>
        _settings.MayUseLanes && registration.Lane is { } offer && offer.BootId.Length > 0 && offer.BootId == MachineBoot.Id
        && AddressOf(registration.Mapper) != Cluster.Get(Context.System).SelfAddress;

    private void Use(DomainState domain, GpuId gpu, IRankLink link)
    {
        var registration = _links.Use(gpu, link, out var hasPredecessor);
        if (hasPredecessor)
        {
            // A mapper that took another's place, or is reached another way, must know whom to tell news; what it reports then is known already.
            link.Send(new RankProtocol.ReportRank(domain.Epoch));
        }

        Enter(domain, registration);
        if (hasPredecessor)
        {
            domain.RankTakenOver(Now, gpu);
        }
    }

    private void Enter(DomainState domain, RankProtocol.RegisterRank registration) =>
        domain.RegisterRank(Now, registration, AddressOf(registration.Mapper).ToString());

    private void Opened(DomainState domain, LaneDialer.LaneOpened opened)
    {
        if (!_links.IsDialling(opened.Hello.Gpu, opened.Hello.Lane))
        {
            opened.Link.Close();
            return;
        }

        _log.Info("{Gpu} is reached by {Lane}", opened.Hello.Gpu, opened.Hello.Lane);
        Use(domain, opened.Hello.Gpu, opened.Link);
    }

    private void Failed(DomainState domain, LaneDialer.LaneFailed failed)
    {
        if (_links.IsDialling(failed.Hello.Gpu, failed.Hello.Lane))
        {
            _log.Info("{Gpu} is reached by Akka.Remote, since there is no lane to it: {Why}", failed.Hello.Gpu, failed.Why);
            Use(domain, failed.Hello.Gpu, new ActorRankLink(_links.MapperOf(failed.Hello.Gpu), Self));
        }
    }

    /// <summary>What was sent last may not have come, and may still come: nothing is sent until the rank says that it won't.</summary>
    private void Lost(DomainState domain, LaneDialer.LaneLost lost)
    {
        if (_links.Break(lost.Hello.Gpu, lost.Hello.Lane))
        {
            _log.Warning("The lane to {Gpu} has ended ({Why}); it is reached by Akka.Remote once it says that nothing of it is left", lost.Hello.Gpu, lost.Why);
            domain.RankReachable(Now, lost.Hello.Gpu, lost.Hello.Incarnation, false);
        }
    }

    private void SetReachable(DomainState domain, Address address, bool isReachable)
    {
        foreach (var (gpu, incarnation, isOpen) in _links.Of(mapper => AddressOf(mapper) == address))
        {
            domain.RankReachable(Now, gpu, incarnation, isReachable && isOpen);
        }
    }

    private void Lose(DomainState domain, Address address)
    {
        foreach (var (gpu, incarnation, _) in _links.Of(mapper => AddressOf(mapper) == address))
        {
            _links.Remove(gpu);
            domain.RankLost(Now, gpu, incarnation, $"its node {address} left the cluster");
        }
    }

    private static Address AddressOf(IActorRef actor) =>
        actor.Path.Address.HasGlobalScope ? actor.Path.Address : Cluster.Get(Context.System).SelfAddress;

    private void LetGoOfLinks()
    {
        foreach (var mapper in _links.Mappers)
        {
            Context.Unwatch(mapper);
        }

        _links.Clear();
    }
}
