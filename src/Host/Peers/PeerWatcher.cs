using Akka.Actor;
using Akka.Cluster;
using Akka.Event;
using Kvcached.Actors.Clustering;

namespace Kvcached.Host.Peers;

/// <summary>
/// Removes a host of this machine from the cluster as soon as the kernel says that its process has ended, instead of after missing heartbeats. Where its process
/// can't be seen, on another machine or in another process namespace, heartbeats decide as always.
/// </summary>
#pragma warning disable CA1001 // Disposed of when the actor stops.
internal sealed class PeerWatcher : UntypedActor, IWithTimers
#pragma warning restore CA1001
{
    private const int MostLooks = 60;
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(500);

    private readonly PeerNotes _notes;
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly Dictionary<UniqueAddress, int> _looksAt = [];
    private PeerProcesses? _processes;

    public PeerWatcher(PeerNotes notes) => _notes = notes;

    public ITimerScheduler Timers { get; set; } = null!;

    protected override void PreStart()
    {
        var self = Self;
        _processes = new PeerProcesses(peer => self.Tell(new Ended(peer)), fault => self.Tell(new Fault(fault)));
        if (_notes.Write(_cluster.SelfUniqueAddress) is { } problem)
        {
            _log.Warning("Other hosts of this machine learn of this one's end only by missing heartbeats: {0}", problem);
        }

        _cluster.Subscribe(Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents, typeof(ClusterEvent.IMemberEvent));
    }

    protected override void PostStop()
    {
        _cluster.Unsubscribe(Self);
        _processes?.Dispose();
        _notes.Delete(_cluster.SelfUniqueAddress);
    }

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case ClusterEvent.MemberRemoved { Member: var member }:
                _looksAt.Remove(member.UniqueAddress);
                _processes!.Forget(member.UniqueAddress);
                EndedPeers.Remove(member.Address);
                break;
            case ClusterEvent.IMemberEvent { Member: var member } when member.UniqueAddress != _cluster.SelfUniqueAddress:
                if (_looksAt.TryAdd(member.UniqueAddress, 0))
                {
                    Look(member.UniqueAddress);
                }

                break;
            case LookAgain { Peer: var peer } when _looksAt.ContainsKey(peer):
                Look(peer);
                break;
            case Ended { Peer: var peer }:
                End(peer);
                break;
            case Fault { Exception: var exception }:
                _log.Error(exception, "Hosts of this machine are watched no longer");
                break;
        }
    }

    private void Look(UniqueAddress peer)
    {
        if (_notes.Read(peer) is { } note && _processes!.TryWatch(peer, note))
        {
            _log.Debug("{0} is process {1}, which is watched", peer.Address, note.Process.ProcessId);
        }
        else if (++_looksAt[peer] < MostLooks)
        {
            Timers.StartSingleTimer(peer, new LookAgain(peer), LookInterval);
        }
    }

    private void End(UniqueAddress peer)
    {
        _notes.Delete(peer);
        if (_cluster.State.Members.Any(member => member.UniqueAddress == peer))
        {
            _log.Warning("The process of {0} has ended; it is removed from the cluster", peer.Address);
            EndedPeers.Add(peer.Address);
            _cluster.Down(peer.Address);
        }
    }

    private sealed record LookAgain(UniqueAddress Peer);

    private sealed record Ended(UniqueAddress Peer);

    private sealed record Fault(Exception Exception);
}
