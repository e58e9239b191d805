using Kvcached.Actors.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Workers;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Gateway;

/// <summary>
/// One worker's side of a connection: lets through what may come at that point, so that the rank isn't flooded by a process that makes things up.
/// Its counters are kept by the gateway's thread; what the rank sends is told to it from others.
/// </summary>
internal sealed class WorkerDesk(IWorkerConnection connection, IWorkerEvents events)
{
    // Beyond what it said to hold: extents that got stuck in a life of this connection that the rank knows more of.
    private const int StuckSlack = 4096;

    private long _unanswered;
    private int _isRefused;
    private long _stuckCredit;
    private bool _hasDetached;

    /// <summary>True once a rank may have something to do with that worker, so that it must hear of its end.</summary>
    public bool IsAttaching { get; private set; }

    /// <summary>True when the rank holds nothing of this worker: it was refused, and asked for nothing since.</summary>
    public bool IsRefused => Volatile.Read(ref _isRefused) != 0;

    /// <summary>The worker said something. Its descriptors are taken over.</summary>
    /// <returns>Why its connection must end, or null.</returns>
    public Refusal? Receive(object message, List<SafeFileHandle> descriptors)
    {
        switch (message)
        {
            case WorkerProtocol.AttachRank attach when !IsAttaching || IsRefused:
                _stuckCredit = attach.Held.Length + StuckSlack;
                IsAttaching = true;
                Volatile.Write(ref _isRefused, 0);
                events.Attaching(connection, attach, [.. descriptors]);
                descriptors.Clear();
                return null;
            case WorkerProtocol.OperationDone done when IsAttaching && Interlocked.Decrement(ref _unanswered) >= 0:
                _stuckCredit += done.Stuck.Length;
                events.Received(connection, done);
                return null;
            case WorkerProtocol.StuckReleased released when IsAttaching && released.Extents.Length > 0 && (_stuckCredit -= released.Extents.Length) >= 0:
                events.Received(connection, released);
                return null;
            case WorkerProtocol.Detach when IsAttaching && !_hasDetached:
                _hasDetached = true;
                events.Received(connection, WorkerProtocol.Detach.Instance);
                return null;
            default:
                return new Refusal(
                    RefusalReason.InvalidMessage, $"{message.GetType().Name} is out of turn here: a worker attaches first and once, answers each operation once, and detaches once.");
        }
    }

    /// <summary>The rank says something, from any thread.</summary>
    public void Sending(WorkerProtocol.IMessage message)
    {
        switch (message)
        {
            case WorkerProtocol.Operate:
                Interlocked.Increment(ref _unanswered);
                break;
            case WorkerProtocol.AttachRefused:
                Volatile.Write(ref _isRefused, 1);
                break;
        }
    }
}
