using Kvcached.Client.Native.Abi;

namespace Kvcached.Client.Native.Events;

/// <summary>Where the events of one pool or arena go: to the engine's callback, or into a queue that it polls. Thread-safe.</summary>
internal sealed unsafe class EventSink
{
    private readonly object _monitor = new();
    private EventQueue? _queue;
    private Callback? _callback;
    private AbiEvent? _end;
    private int _descriptor = -1;
    private bool _isClosed;

    [ThreadStatic]
    private static int t_depth;

    /// <summary>Passes an event on. Never waits for anybody but the callback.</summary>
    public void Publish(in AbiEvent happened)
    {
        Callback? callback;
        lock (_monitor)
        {
            if (happened.Kind is EventKind.Withdrawn or EventKind.PoolGone)
            {
                _end = happened;
            }

            callback = _callback;
            if (callback is null)
            {
                if (_queue is not null)
                {
                    var wasEmpty = _queue.IsEmpty;
                    _queue.Add(happened);
                    Tell(wasEmpty);
                }

                return;
            }

            callback.RunningCount++;
        }

        t_depth++;
        try
        {
            fixed (AbiEvent* start = &happened)
            {
                callback.Function(callback.Context, start);
            }
        }
        finally
        {
            t_depth--;
            lock (_monitor)
            {
                callback.RunningCount--;
                Monitor.PulseAll(_monitor);
            }
        }
    }

    /// <summary>Sets or removes the callback. Waits until the one before isn't running any more, except when called from within one.</summary>
    public void SetCallback(delegate* unmanaged[Cdecl]<void*, AbiEvent*, void> function, void* context)
    {
        lock (_monitor)
        {
            var before = _callback;
            _callback = function == null ? null : new Callback(function, context);
            while (before is { RunningCount: > 0 } && t_depth == 0)
            {
                Monitor.Wait(_monitor);
            }
        }

        TellEnd();
    }

    /// <summary>Keeps events from now on; 0 forgets them.</summary>
    public void Keep(int capacity)
    {
        lock (_monitor)
        {
            _queue = capacity == 0 ? null : new EventQueue(capacity);
            Show(isReadable: false);
            Monitor.PulseAll(_monitor);
        }

        TellEnd();
    }

    /// <summary>Takes events, waiting for the first. Ends early when the sink is closed.</summary>
    /// <param name="destination">Where they go.</param>
    /// <param name="timeoutMs">How long to wait; -1 = without end.</param>
    /// <returns>How many came; -1 when none are kept.</returns>
    public int Take(Span<AbiEvent> destination, int timeoutMs)
    {
        var started = Environment.TickCount64;
        lock (_monitor)
        {
            while (true)
            {
                if (_queue is null)
                {
                    return -1;
                }

                var taken = _queue.Take(destination);
                var waited = Environment.TickCount64 - started;
                if (taken > 0 || _isClosed || destination.Length == 0 || (timeoutMs >= 0 && waited >= timeoutMs))
                {
                    if (_queue.IsEmpty)
                    {
                        Show(isReadable: false);
                    }

                    return taken;
                }

                Monitor.Wait(_monitor, timeoutMs < 0 ? Timeout.Infinite : (int)(timeoutMs - waited));
            }
        }
    }

    /// <summary>A descriptor that is readable while events are kept; -1 when the process has too many.</summary>
    public int OpenDescriptor()
    {
        lock (_monitor)
        {
            if (_descriptor < 0 && !_isClosed)
            {
                _descriptor = Shim.OpenEventDescriptor();
                Show(isReadable: _queue is { IsEmpty: false });
            }

            return _descriptor;
        }
    }

    /// <summary>Ends all waiting and closes the descriptor. What is kept can still be taken.</summary>
    public void Close()
    {
        lock (_monitor)
        {
            _isClosed = true;
            _callback = null;
            if (_descriptor >= 0)
            {
                Shim.CloseEventDescriptor(_descriptor);
                _descriptor = -1;
            }

            Monitor.PulseAll(_monitor);
        }
    }

    /// <summary>Who comes late hears of the end all the same.</summary>
    private void TellEnd()
    {
        AbiEvent? end;
        lock (_monitor)
        {
            end = _end;
        }

        if (end is { } happened)
        {
            Publish(happened);
        }
    }

    private void Tell(bool wasEmpty)
    {
        if (wasEmpty)
        {
            Show(isReadable: true);
            Monitor.PulseAll(_monitor);
        }
    }

    private void Show(bool isReadable)
    {
        if (_descriptor >= 0)
        {
            Shim.SetEventDescriptor(_descriptor, isReadable ? 1 : 0);
        }
    }

    private sealed class Callback(delegate* unmanaged[Cdecl]<void*, AbiEvent*, void> function, void* context)
    {
        public delegate* unmanaged[Cdecl]<void*, AbiEvent*, void> Function { get; } = function;

        public void* Context { get; } = context;

        public int RunningCount { get; set; }
    }
}
