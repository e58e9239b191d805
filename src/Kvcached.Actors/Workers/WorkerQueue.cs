using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;

namespace Kvcached.Actors.Workers;

/// <summary>
/// What one worker is still to do, in order: some sent, the rest waiting, so that a worker that lags has neither many operations nor many descriptors on their
/// way to it. Without clock or I/O. Not thread-safe.
/// </summary>
/// <param name="maxDescriptors">Descriptors on their way, at most.</param>
internal sealed class WorkerQueue(int maxDescriptors = WorkerQueue.MaxDescriptorsInFlight)
{
    /// <summary>Operations sent and not answered, at most.</summary>
    public const int MaxOperationsInFlight = 8;

    /// <summary>Descriptors of such operations, at most, unless told otherwise; a single operation may have more when it is the only one.</summary>
    public const int MaxDescriptorsInFlight = 1024;

    private readonly LinkedList<WorkerOperation> _waiting = new();
    private readonly Queue<WorkerOperation> _sent = new();
    private long _lastTicket;
    private long _lastNumber;
    private int _descriptorsInFlight;

    /// <summary>Descriptors on their way, at most.</summary>
    public int MaxDescriptors => maxDescriptors;

    public int WaitingCount => _waiting.Count;

    public int SentCount => _sent.Count;

    /// <summary>Adds an operation behind the others.</summary>
    /// <returns>Its ticket: names it for as long as the queue lives, over connections.</returns>
    public long Add(WorkerOperation operation)
    {
        operation.Ticket = ++_lastTicket;
        _waiting.AddLast(operation);
        return operation.Ticket;
    }

    /// <summary>The next operation that may go now; null when none waits or enough are on their way.</summary>
    public WorkerOperation? NextToSend() =>
        _waiting.First?.Value is { } next && _sent.Count < MaxOperationsInFlight
        && (_sent.Count == 0 || _descriptorsInFlight + next.DescriptorCount <= maxDescriptors)
            ? next
            : null;

    /// <summary>That operation goes out; gives it its number on this connection, from 1 without gaps.</summary>
    public void Sent(WorkerOperation next)
    {
        _waiting.RemoveFirst();
        next.Number = ++_lastNumber;
        _descriptorsInFlight += next.DescriptorCount;
        _sent.Enqueue(next);
    }

    /// <summary>The worker has answered an operation. Null when it isn't the oldest one sent: answers come in order, each once.</summary>
    public WorkerOperation? Answered(long number)
    {
        if (!_sent.TryPeek(out var oldest) || oldest.Number != number)
        {
            return null;
        }

        _sent.Dequeue();
        _descriptorsInFlight -= oldest.DescriptorCount;
        return oldest;
    }

    /// <summary>Takes an operation back that wasn't sent. False when it was, or isn't known.</summary>
    public bool TryCancel(long ticket)
    {
        for (var node = _waiting.First; node is not null; node = node.Next)
        {
            if (node.Value.Ticket == ticket)
            {
                _waiting.Remove(node);
                return true;
            }
        }

        return false;
    }

    /// <summary>Ticket of the last operation, sent or waiting, that unmaps the extent; 0 = none.</summary>
    public long FindUnmap(Extent extent) => _sent.Concat(_waiting)
        .LastOrDefault(o => o.Kind is WorkerOperationKind.Unmap or WorkerOperationKind.Retire && o.Extents.Any(e => e.Extent == extent))?.Ticket ?? 0;

    /// <summary>The connection is gone: nothing is owed any more, and numbers begin anew with the next one.</summary>
    public void Reset()
    {
        _waiting.Clear();
        _sent.Clear();
        _lastNumber = 0;
        _descriptorsInFlight = 0;
    }
}

/// <summary>One operation for a worker.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="Epoch">Epoch of the decision.</param>
/// <param name="Seq">The decision.</param>
/// <param name="Fence">For unmapping: the step to complete first.</param>
/// <param name="Extents">The extents.</param>
/// <param name="IsDescriptorsHeld">For installing, per extent, whether the worker has its descriptors; empty = it has none.</param>
/// <param name="DescriptorCount">Descriptors that go along.</param>
internal sealed record WorkerOperation(
    WorkerOperationKind Kind, Epoch Epoch, long Seq, EngineStep Fence, ImmutableArray<LentExtent> Extents, ImmutableArray<bool> IsDescriptorsHeld,
    int DescriptorCount)
{
    public long Ticket { get; set; }

    /// <summary>Number on the connection that it was sent over; 0 = not sent.</summary>
    public long Number { get; set; }

    /// <summary>For installing, what the worker may have held when it was sent and that isn't in the list: let go when it is done.</summary>
    public ImmutableArray<Extent> Replaced { get; set; } = [];

    /// <summary>True for a map that continues a table too long for one operation.</summary>
    public bool IsPartOfTable { get; init; }

    public bool NeedsDescriptors(int index) =>
        MapsSomething && (IsDescriptorsHeld.IsEmpty || !IsDescriptorsHeld[index]);

    /// <summary>True when the worker may hold its extents from the moment it is sent.</summary>
    public bool MapsSomething => Kind is WorkerOperationKind.Map or WorkerOperationKind.Install;
}
