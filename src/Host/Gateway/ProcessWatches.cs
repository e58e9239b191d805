using Kvcached.Core.Ids;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Gateway;

/// <summary>One process on the other side, whatever number of connections it has or had.</summary>
internal sealed class ProcessWatch(int processId, SafeFileHandle descriptor)
{
    public int ProcessId => processId;

    public SafeFileHandle Descriptor => descriptor;

    public long Token { get; set; }

    /// <summary>Its open connections.</summary>
    public HashSet<GatewayConnection> Open { get; } = [];

    /// <summary>Its ended connections of workers, whose ranks wait to hear of its end.</summary>
    public List<GatewayConnection> Ended { get; } = [];

    /// <summary>The sessions that it opened or renewed last.</summary>
    public HashSet<SessionId> Sessions { get; } = [];
}

/// <summary>Watches processes for their end; one descriptor each. For the gateway's thread.</summary>
internal sealed class ProcessWatches(EpollLoop loop, Action<ProcessWatch> ended)
{
    /// <summary>Most ended connections of one process that are remembered: a worker doesn't connect so often in its life.</summary>
    public const int MaxEndedConnections = 1024;

    private readonly Dictionary<int, ProcessWatch> _byProcess = [];
    private readonly HashSet<ProcessWatch> _all = [];

    public int Count => _all.Count;

    /// <summary>The watch of the process that connected, or null when there is no way to watch it.</summary>
    public ProcessWatch? Find(PeerCredentials peer, SafeFileHandle socket)
    {
        // The number of a living process is nobody else's.
        if (peer.ProcessId > 0 && _byProcess.TryGetValue(peer.ProcessId, out var known) && !ProcessDescriptor.HasEnded(known.Descriptor))
        {
            return known;
        }

        return ProcessDescriptor.OfPeer(socket, peer) is { } descriptor ? Watch(peer.ProcessId, descriptor) : null;
    }

    /// <summary>Watches a process by a descriptor that it sent itself; null when it is none of a living process, and closed then.</summary>
    public ProcessWatch? TakeOver(SafeFileHandle descriptor, PeerCredentials peer)
    {
        if (ProcessDescriptor.IsOfLivingProcess(descriptor, peer.ProcessId))
        {
            return Watch(peer.ProcessId, descriptor);
        }

        descriptor.Dispose();
        return null;
    }

    /// <summary>Ends the watch if nobody has to hear of that process's end.</summary>
    public void Release(ProcessWatch watch)
    {
        if (watch.Open.Count == 0 && watch.Ended.Count == 0 && watch.Sessions.Count == 0)
        {
            Remove(watch);
        }
    }

    public void Clear()
    {
        foreach (var watch in _all.ToArray())
        {
            Remove(watch);
        }
    }

    private ProcessWatch? Watch(int processId, SafeFileHandle descriptor)
    {
        var watch = new ProcessWatch(processId, descriptor);
        if (!loop.TryAdd(descriptor, Readiness.Readable, _ => End(watch), out var token))
        {
            descriptor.Dispose();
            return null;
        }

        watch.Token = token;
        _all.Add(watch);
        if (processId > 0)
        {
            _byProcess[processId] = watch;
        }

        return watch;
    }

    private void End(ProcessWatch watch)
    {
        Remove(watch);
        ended(watch);
    }

    private void Remove(ProcessWatch watch)
    {
        if (!_all.Remove(watch))
        {
            return;
        }

        loop.Remove(watch.Token, watch.Descriptor);
        watch.Descriptor.Dispose();
        if (_byProcess.TryGetValue(watch.ProcessId, out var known) && ReferenceEquals(known, watch))
        {
            _byProcess.Remove(watch.ProcessId);
        }
    }
}
