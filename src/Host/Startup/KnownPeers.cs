using Akka.Actor;
using Akka.Cluster;

namespace Kvcached.Host.Startup;

/// <summary>
/// The other members of the host's cluster, remembered for when it is removed from it: it then asks these, and nobody else, to be taken in again. Alone it
/// must not begin: they may go on as the cluster that it was removed from.
/// </summary>
internal sealed class KnownPeers
{
    private readonly Lock _lock = new();
    private readonly HashSet<string> _addresses = new(StringComparer.Ordinal);

    /// <summary>Their addresses, as <c>host:port</c>.</summary>
    public IReadOnlyList<string> Addresses
    {
        get
        {
            lock (_lock)
            {
                return [.. _addresses.Order(StringComparer.Ordinal)];
            }
        }
    }

    /// <summary>Keeps the list by what that system's cluster says, until the system ends.</summary>
    public void Follow(ActorSystem system) => system.ActorOf(Props.Create(() => new Follower(this)));

    private void Set(Address address, bool isThere)
    {
        var name = $"{address.Host}:{address.Port}";
        lock (_lock)
        {
            _ = isThere ? _addresses.Add(name) : _addresses.Remove(name);
        }
    }

    private sealed class Follower : UntypedActor
    {
        private readonly KnownPeers _peers;
        private readonly Cluster _cluster = Cluster.Get(Context.System);

        public Follower(KnownPeers peers) => _peers = peers;

        protected override void PreStart() => _cluster.Subscribe(
            Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents, typeof(ClusterEvent.MemberUp), typeof(ClusterEvent.MemberRemoved));

        protected override void PostStop() => _cluster.Unsubscribe(Self);

        protected override void OnReceive(object message)
        {
            switch (message)
            {
                case ClusterEvent.MemberUp { Member: var member } when member.UniqueAddress != _cluster.SelfUniqueAddress:
                    _peers.Set(member.Address, true);
                    break;

                // What a host that is being removed itself believes of the others is worth nothing.
                case ClusterEvent.MemberRemoved { Member: var member } when member.UniqueAddress != _cluster.SelfUniqueAddress && !IsLeaving():
                    _peers.Set(member.Address, false);
                    break;
            }
        }

        private bool IsLeaving() => _cluster.IsTerminated || _cluster.SelfMember.Status is MemberStatus.Down or MemberStatus.Removed;
    }
}
