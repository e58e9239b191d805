using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Workers;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Actors.Workers;

/// <summary>
/// Where the engine gateway tells a rank about its workers. Thread-safe and never blocking: what it is told waits for the page mapper, the present one or
/// the next, which is nudged. An event counts as taken only when it was carried out, so that a mapper that fails over it loses none.
/// </summary>
public sealed class WorkerRegistry : IWorkerEvents
{
    /// <summary>How often an event is tried: one that mappers fail over again and again must not keep the rank from everything else.</summary>
    internal const int MaxTries = 3;

    private readonly ConcurrentQueue<WorkerEvent> _inbox = new();
    private Action? _nudge;
    private int _tries;

    public void Attaching(IWorkerConnection connection, WorkerProtocol.AttachRank request, ImmutableArray<SafeFileHandle> heldDescriptors) =>
        Tell(new WorkerEvent.Attaching(connection, request, heldDescriptors));

    public void Received(IWorkerConnection connection, WorkerProtocol.IMessage message) => Tell(new WorkerEvent.Received(connection, message));

    public void Disconnected(IWorkerConnection connection) => Tell(new WorkerEvent.Disconnected(connection));

    public void Died(IWorkerConnection connection) => Tell(new WorkerEvent.Died(connection));

    /// <summary>From now on that mapper is nudged, at once when something waits. The nudge is called from any thread and must not block.</summary>
    internal void Listen(Action nudge)
    {
        Volatile.Write(ref _nudge, nudge);
        if (!_inbox.IsEmpty)
        {
            nudge();
        }
    }

    /// <summary>The mapper ends; another one may be listening already.</summary>
    internal void StopListening(Action nudge) => Interlocked.CompareExchange(ref _nudge, null, nudge);

    /// <summary>The oldest event, which stays until <see cref="Done"/>. For the mapper's thread only. False without any.</summary>
    internal bool TryBegin([NotNullWhen(true)] out WorkerEvent? next)
    {
        while (_inbox.TryPeek(out next))
        {
            if (_tries < MaxTries)
            {
                _tries++;
                return true;
            }

            // Its worker connects again, and its table is installed anew.
            next.Connection.Close();
            Done();
        }

        return false;
    }

    /// <summary>The event was carried out.</summary>
    internal void Done()
    {
        _tries = 0;
        _inbox.TryDequeue(out _);
    }

    private void Tell(WorkerEvent news)
    {
        _inbox.Enqueue(news);
        Volatile.Read(ref _nudge)?.Invoke();
    }
}
