namespace Kvcached.Router.Models;

/// <summary>A request that waits, in the order in which requests came.</summary>
internal sealed class Waiter(long enteredAt) : TaskCompletionSource<Admission>(TaskCreationOptions.RunContinuationsAsynchronously)
{
    internal LinkedListNode<Waiter>? Place { get; set; }

    /// <summary>When it came, a timestamp.</summary>
    public long EnteredAt { get; } = enteredAt;

    /// <summary>Whether it has to do with the model being asleep that it waits.</summary>
    public bool WaitsForWake { get; set; }
}

/// <summary>The requests that wait for one model: first come, first served. Not safe for use by several threads; its gate's lock guards it.</summary>
internal sealed class WaitingLine
{
    private readonly LinkedList<Waiter> _waiters = [];

    public int Count => _waiters.Count;

    public Waiter? First => _waiters.First?.Value;

    public void Add(Waiter waiter) => waiter.Place = _waiters.AddLast(waiter);

    /// <summary>Takes it out.</summary>
    /// <returns>False when it waits no longer.</returns>
    public bool Remove(Waiter waiter)
    {
        if (waiter.Place is not { } place)
        {
            return false;
        }

        _waiters.Remove(place);
        waiter.Place = null;
        return true;
    }

    public void RefuseAll(RefusalKind kind, TimeSpan retryAfter)
    {
        while (First is { } waiter)
        {
            Remove(waiter);
            waiter.TrySetResult(Admission.Refused(kind, retryAfter));
        }
    }

    public void MarkWaitingForWake()
    {
        foreach (var waiter in _waiters)
        {
            waiter.WaitsForWake = true;
        }
    }
}
