using System.Text.Json;
using Akka.Actor;
using Akka.Cluster;
using Kvcached.Core.Contracts;

namespace Kvcached.Host.Management;

/// <summary>The cluster's events for those who watch at this host, in the form that Akka Management gives them.</summary>
internal sealed class ClusterFeed(ActorSystem system)
{
    private readonly EventBroadcast _broadcast = new();
    private readonly Lock _gate = new();
    private IActorRef? _listener;

    /// <summary>Begins a stream with the members as they are now; null when there are too many already.</summary>
    /// <param name="types">Names of the events that are wanted; empty = all.</param>
    public IResult? TryOpen(IReadOnlyCollection<string> types)
    {
        lock (_gate)
        {
            _listener ??= system.ActorOf(Props.Create(() => new Listener(_broadcast)), "cluster-feed");
        }

        var state = Cluster.Get(system).State;
        var first = state.Members.Select(member => Describe(TypeOf(member.Status), member));
        if (_broadcast.TryListen(first) is not { } channel)
        {
            return null;
        }

        return new EventStream(channel, () => _broadcast.Leave(channel), types);
    }

    private static string TypeOf(MemberStatus status) => status switch
    {
        MemberStatus.Joining => "MemberJoined",
        MemberStatus.WeaklyUp => "MemberWeaklyUp",
        MemberStatus.Up => "MemberUp",
        MemberStatus.Leaving => "MemberLeft",
        MemberStatus.Exiting => "MemberExited",
        MemberStatus.Down => "MemberDowned",
        _ => "MemberRemoved",
    };

    private static StreamEvent Describe(string type, Member member) => new(type, string.Empty, JsonSerializer.Serialize(
        new MemberEventView(
            new MemberEventMemberView(
                "default", [.. member.Roles.Order(StringComparer.Ordinal)], member.Status.ToString(),
                new UniqueAddressView(member.Address.ToString(), member.UniqueAddress.Uid)),
            type),
        ManagementJsonContext.Default.MemberEventView));

    private sealed class Listener(EventBroadcast broadcast) : UntypedActor
    {
        protected override void PreStart() => Cluster.Get(Context.System).Subscribe(
            Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsSnapshot, typeof(ClusterEvent.IMemberEvent), typeof(ClusterEvent.IReachabilityEvent));

        protected override void PostStop() => Cluster.Get(Context.System).Unsubscribe(Self);

        protected override void OnReceive(object message)
        {
            switch (message)
            {
                case ClusterEvent.MemberRemoved removed:
                    broadcast.Publish(Describe("MemberRemoved", removed.Member));
                    break;
                case ClusterEvent.IMemberEvent changed:
                    broadcast.Publish(Describe(TypeOf(changed.Member.Status), changed.Member));
                    break;
                case ClusterEvent.UnreachableMember unreachable:
                    broadcast.Publish(Describe("UnreachableMember", unreachable.Member));
                    break;
                case ClusterEvent.ReachableMember reachable:
                    broadcast.Publish(Describe("ReachableMember", reachable.Member));
                    break;
            }
        }
    }
}
