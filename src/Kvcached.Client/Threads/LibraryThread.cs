using System.Diagnostics;

namespace Kvcached.Client.Threads;

/// <summary>
/// A thread of the library's own, which does what is posted in order, and its upkeep now and then. Another thread may take a turn in its place. One thing at a
/// time is done, whoever does it. Nothing that it runs can end the process: what escapes is reported and the thread goes on.
/// </summary>
internal sealed class LibraryThread
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(100);

    private readonly object _gate = new();
    private readonly Queue<Action> _posted = new();
    private readonly Func<TimeSpan> _upkeep;
    private readonly Thread _thread;
    private Thread? _runner;
    private long _wakesAt;
    private bool _isHeldUp;
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

    /// <summary>True for whoever's turn it is.</summary>
    public bool IsCurrent => Volatile.Read(ref _runner) == Thread.CurrentThread;

    public void Start()
    {
        lock (_gate)
        {
            _isStarted = true;
            _thread.Start();
        }
    }

    /// <summary>Has it done by this thread, after what was posted before. False once the thread stops.</summary>
    public bool Post(Action action)
    {
        lock (_gate)
        {
            return TryPost(action);
        }
    }

    /// <summary>
    /// Does it on the calling thread, with the upkeep after it, when nothing else is being done or waits; else like <see cref="Post"/>. To hand over to another thread
    /// takes longer than most of what is to be done. False once the thread stops.
    /// </summary>
    public bool DoOrPost(Action action)
    {
        lock (_gate)
        {
            if (_isStopping || !_isStarted || _runner is not null || _posted.Count > 0 || _isWoken)
            {
                return TryPost(action);
            }

            _runner = Thread.CurrentThread;
        }

        KvProcess.Guard(action);
        var pause = Keep();
        lock (_gate)
        {
            _runner = null;
            _isWoken |= TimestampAfter(pause) < _wakesAt;
            if (_isHeldUp || _isWoken || _isStopping || _posted.Count > 0)
            {
                Monitor.Pulse(_gate);
            }
        }

        return true;
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

    private bool TryPost(Action action)
    {
        if (_isStopping)
        {
            return false;
        }

        _posted.Enqueue(action);
        Monitor.Pulse(_gate);
        return true;
    }

    private void Run()
    {
        var pause = TimeSpan.Zero;
        while (true)
        {
            Action? next;
            lock (_gate)
            {
                _runner = null;
                AwaitTurn(TimestampAfter(pause));
                if (_posted.Count == 0 && _isStopping)
                {
                    return;
                }

                _posted.TryDequeue(out next);
                _isWoken = next is not null && _isWoken;
                _runner = _thread;
            }

            if (next is null)
            {
                pause = Keep();
            }
            else
            {
                KvProcess.Guard(next);
                pause = TimeSpan.Zero;
            }
        }
    }

    /// <summary>With the lock held: waits until nobody has a turn, and there is something to do or the pause is over.</summary>
    private void AwaitTurn(long wakesAt)
    {
        _wakesAt = wakesAt;
        while (true)
        {
            var left = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), wakesAt);
            var isDue = _posted.Count > 0 || _isStopping || _isWoken || left <= TimeSpan.Zero;
            _isHeldUp = isDue && _runner is not null;
            if (isDue && !_isHeldUp)
            {
                return;
            }

            if (_isHeldUp)
            {
                Monitor.Wait(_gate);
            }
            else
            {
                Monitor.Wait(_gate, left);
            }
        }
    }

    private static long TimestampAfter(TimeSpan pause) => Stopwatch.GetTimestamp() + (long)(pause.TotalSeconds * Stopwatch.Frequency);

    private TimeSpan Keep()
    {
        var pause = LongestPause;
        KvProcess.Guard(() => pause = _upkeep());

        // A pause of nothing would never let go of the processor.
        return pause > TimeSpan.FromMilliseconds(1) ? pause : TimeSpan.FromMilliseconds(1);
    }
}
