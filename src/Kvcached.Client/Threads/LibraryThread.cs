namespace Kvcached.Client.Threads;

/// <summary>
/// A thread of the library's own, which does what is posted in order, and its upkeep now and then. Nothing that it runs can end the process: what
/// escapes is reported and the thread goes on.
/// </summary>
internal sealed class LibraryThread
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(10);

    private readonly object _gate = new();
    private readonly Queue<Action> _posted = new();
    private readonly Func<TimeSpan> _upkeep;
    private readonly Thread _thread;
    private bool _isWoken;
    private bool _isStopping;
    private bool _isStarted;

    /// <param name="name">Name of the thread, for people.</param>
    /// <param name="upkeep">Called after what was posted was done; says when to call it again at the latest.</param>
    public LibraryThread(string name, Func<TimeSpan> upkeep)
    {
        _upkeep = upkeep;
        _thread = new Thread(Run) { IsBackground = true, Name = name };
    }

    public bool IsCurrent => Thread.CurrentThread == _thread;

    public void Start()
    {
        _isStarted = true;
        _thread.Start();
    }

    /// <summary>Has it done by this thread, after what was posted before. False once the thread stops.</summary>
    public bool Post(Action action)
    {
        lock (_gate)
        {
            if (_isStopping)
            {
                return false;
            }

            _posted.Enqueue(action);
            Monitor.Pulse(_gate);
            return true;
        }
    }

    /// <summary>Has the upkeep done soon.</summary>
    public void Wake()
    {
        lock (_gate)
        {
            if (!_isWoken)
            {
                _isWoken = true;
                Monitor.Pulse(_gate);
            }
        }
    }

    /// <summary>
    /// Ends the thread once it has done what was posted, and waits for that unless it is this thread that asks. Gives up waiting after a while: a call
    /// into a driver that hangs must not hang whoever closes.
    /// </summary>
    public void Stop()
    {
        lock (_gate)
        {
            _isStopping = true;
            Monitor.Pulse(_gate);
        }

        if (!IsCurrent && _isStarted)
        {
            _thread.Join(StopTimeout);
        }
    }

    private void Run()
    {
        var pause = TimeSpan.Zero;
        while (true)
        {
            Action? next = null;
            lock (_gate)
            {
                if (_posted.Count == 0 && !_isStopping && !_isWoken && pause > TimeSpan.Zero)
                {
                    Monitor.Wait(_gate, pause);
                }

                if (_posted.Count == 0 && _isStopping)
                {
                    return;
                }

                _posted.TryDequeue(out next);
                _isWoken = next is not null && _isWoken;
            }

            pause = next is null ? Keep() : Do(next);
        }
    }

    private static TimeSpan Do(Action action)
    {
        KvProcess.Guard(action);
        return TimeSpan.Zero;
    }

    private TimeSpan Keep()
    {
        var pause = TimeSpan.FromMilliseconds(100);
        KvProcess.Guard(() => pause = _upkeep());

        // A pause of nothing would never let go of the processor.
        return pause > TimeSpan.FromMilliseconds(1) ? pause : TimeSpan.FromMilliseconds(1);
    }
}
