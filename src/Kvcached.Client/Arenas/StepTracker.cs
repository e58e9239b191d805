using Kvcached.Core.Ids;

namespace Kvcached.Client.Arenas;

/// <summary>
/// Which engine steps are complete: those before the earliest that is still under way. Steps are told of by the engine's threads, and found complete
/// by the library's.
/// </summary>
internal sealed class StepTracker
{
    private readonly Lock _lock = new();
    private readonly LinkedList<Entry> _underWay = new();
    private long _highest;
    private long _completed;
    private long _lastMark;

    /// <summary>Work between two calls on one stream.</summary>
    private sealed class Entry
    {
        /// <summary>The first and last step that it belongs to.</summary>
        public required long Low { get; init; }

        public required long High { get; init; }

        public required nint Stream { get; init; }

        /// <summary>What to ask the device for; null when it could not be marked.</summary>
        public required nint? Ticket { get; init; }

        public required long Mark { get; init; }
    }

    /// <summary>The last step that is complete with all before it.</summary>
    public EngineStep Completed
    {
        get
        {
            lock (_lock)
            {
                return new EngineStep(_completed);
            }
        }
    }

    /// <summary>True when only waiting for all submitted work can tell that some steps are complete.</summary>
    public bool NeedsSync
    {
        get
        {
            lock (_lock)
            {
                return _underWay.First?.Value is { Ticket: null };
            }
        }
    }

    /// <summary>The step and all before it are complete, as far as no mark says otherwise.</summary>
    public void Done(EngineStep step)
    {
        lock (_lock)
        {
            _highest = Math.Max(_highest, step.Value);
            for (var node = _underWay.First; node is not null;)
            {
                var next = node.Next;
                if (node.Value.Ticket is null && node.Value.High <= step.Value)
                {
                    _underWay.Remove(node);
                }

                node = next;
            }

            Settle();
        }
    }

    /// <summary>The step's work was submitted to a stream, and is complete once the device comes past the ticket; null when it could not be marked.</summary>
    public void Submitted(EngineStep step, nint stream, nint? ticket)
    {
        lock (_lock)
        {
            _highest = Math.Max(_highest, step.Value);
            var low = step.Value;
            for (var node = _underWay.Last; node is not null;)
            {
                // What could not be marked on this stream comes before this, and is complete with it.
                var before = node.Previous;
                if (node.Value.Ticket is null && node.Value.Stream == stream)
                {
                    low = Math.Min(low, node.Value.Low);
                    _underWay.Remove(node);
                }

                node = before;
            }

            _underWay.AddLast(new Entry { Low = low, High = step.Value, Stream = stream, Ticket = ticket, Mark = ++_lastMark });
        }
    }

    /// <summary>Asks the device for everything under way that is marked.</summary>
    public void Poll(Func<nint, bool> isComplete)
    {
        Entry[] underWay;
        lock (_lock)
        {
            if (_underWay.Count == 0)
            {
                return;
            }

            underWay = [.. _underWay];
        }

        // Without the lock: the engine must not wait for the driver.
        foreach (var entry in underWay)
        {
            if (entry.Ticket is { } ticket && isComplete(ticket))
            {
                lock (_lock)
                {
                    _underWay.Remove(entry);
                }
            }
        }

        lock (_lock)
        {
            Settle();
        }
    }

    /// <summary>A point in time, for <see cref="Synchronized"/>.</summary>
    public long TakeMark()
    {
        lock (_lock)
        {
            return _lastMark;
        }
    }

    /// <summary>All work submitted up to that point is complete.</summary>
    public void Synchronized(long mark)
    {
        lock (_lock)
        {
            for (var node = _underWay.First; node is not null;)
            {
                var next = node.Next;
                if (node.Value.Mark <= mark && node.Value.Ticket is null)
                {
                    _underWay.Remove(node);
                }

                node = next;
            }

            Settle();
        }
    }

    private void Settle()
    {
        var earliest = long.MaxValue;
        foreach (var entry in _underWay)
        {
            earliest = Math.Min(earliest, entry.Low);
        }

        _completed = Math.Max(_completed, Math.Min(_highest, earliest - 1));
    }
}
