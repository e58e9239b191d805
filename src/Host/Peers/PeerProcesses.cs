using Akka.Cluster;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Peers;

/// <summary>Watches the processes of other hosts for their end, by descriptors that mean one process for ever. Has a thread of its own.</summary>
/// <param name="ended">Told once, on that thread, of a peer whose process has ended.</param>
/// <param name="onFault">Told of what a handler threw.</param>
internal sealed class PeerProcesses(Action<UniqueAddress> ended, Action<Exception> onFault) : IDisposable
{
    private readonly EpollLoop _loop = new("kvcached-peers", onFault);
    private readonly Dictionary<UniqueAddress, (SafeFileHandle Process, long Token)> _watched = [];

    /// <summary>Watches the process of a peer. False when it can't be seen from here, or is not, or no longer, the one that the note names.</summary>
    public bool TryWatch(UniqueAddress peer, PeerNote note)
    {
        if (!note.IsVisible || ProcessDescriptor.OfProcess(note.Process.ProcessId) is not { } process)
        {
            return false;
        }

        // In this order: what the number means now, with the descriptor open, is what the descriptor means.
        if (!note.IsAlive)
        {
            process.Dispose();
            return false;
        }

        _loop.Post(() => Watch(peer, process));
        return true;
    }

    /// <summary>Nobody has to hear of that peer's end any more.</summary>
    public void Forget(UniqueAddress peer) => _loop.Post(() => Remove(peer));

    public void Dispose()
    {
        _loop.Post(() => _watched.Keys.ToList().ForEach(peer => Remove(peer)));
        _loop.Dispose();
    }

    private void Watch(UniqueAddress peer, SafeFileHandle process)
    {
        if (_watched.ContainsKey(peer) || !_loop.TryAdd(process, Readiness.Readable, _ => End(peer), out var token))
        {
            process.Dispose();
            return;
        }

        _watched.Add(peer, (process, token));
    }

    private void End(UniqueAddress peer)
    {
        if (Remove(peer))
        {
            ended(peer);
        }
    }

    private bool Remove(UniqueAddress peer)
    {
        if (!_watched.Remove(peer, out var watch))
        {
            return false;
        }

        _loop.Remove(watch.Token, watch.Process);
        watch.Process.Dispose();
        return true;
    }
}
