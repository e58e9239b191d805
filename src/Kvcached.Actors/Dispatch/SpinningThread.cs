using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Akka.Dispatch;

namespace Kvcached.Actors.Dispatch;

/// <summary>
/// One thread that runs what it is given, in order. Out of work it looks for more for a while before it sleeps: to wake a sleeping thread takes
/// longer than most of what a page mapper does. Whoever gives it something may do that himself when nothing else is being done or waits (<see cref="GuestTurn"/>).
/// </summary>
[SuppressMessage("Reliability", "CA1001", Justification = "The event is let go with the object: senders that come late may still set it.")]
internal sealed class SpinningThread : ExecutorService
{
    /// <summary>Pauses between two looks at the queue, well under a microsecond together.</summary>
    private const int PausesPerLook = 10;

    private readonly ConcurrentQueue<IRunnable> _work = new();
    private readonly AutoResetEvent _wake = new(false);

    /// <summary>Held by whoever runs something, so that one thing is run at a time, and in order.</summary>
    private readonly Lock _turn = new();
    private readonly long _spinTicks;
    private readonly Action<Exception> _report;
    private int _isAsleep;
    private volatile bool _isStopping;
    private volatile bool _hasEnded;

    /// <param name="id">Name of the thread.</param>
    /// <param name="spin">How long it looks for work before it sleeps; zero = it sleeps at once.</param>
    /// <param name="report">Is told what the work throws; the thread goes on.</param>
    public SpinningThread(string id, TimeSpan spin, Action<Exception> report)
        : base(id)
    {
        _spinTicks = (long)(spin.TotalSeconds * Stopwatch.Frequency);
        _report = report;
        new Thread(Run) { IsBackground = true, Name = id }.Start();
    }

    /// <summary>True while the thread sleeps, or is about to.</summary>
    internal bool IsAsleep => Volatile.Read(ref _isAsleep) != 0;

    /// <exception cref="RejectedExecutionException">The thread was told to stop.</exception>
    public override void Execute(IRunnable run)
    {
        if (_isStopping)
        {
            throw Rejected();
        }

        if (GuestTurn.TryTake() && TryPerform(run))
        {
            return;
        }

        _work.Enqueue(run);
        Wake();

        // It may have stopped in between; then whatever is left is not run, and said so.
        if (_hasEnded && _work.TryDequeue(out _))
        {
            throw Rejected();
        }
    }

    /// <summary>Has the thread end when all it was given is done. Doesn't wait for it.</summary>
    public override void Shutdown()
    {
        _isStopping = true;
        Wake();
    }

    private RejectedExecutionException Rejected() => new($"The thread '{Id}' has been stopped.");

    private void Wake()
    {
        if (Interlocked.Exchange(ref _isAsleep, 0) != 0)
        {
            _wake.Set();
        }
    }

    private void Run()
    {
        while (!_isStopping || !_work.IsEmpty)
        {
            if (HasWork())
            {
                PerformNext();
            }
            else
            {
                Sleep();
            }
        }

        _hasEnded = true;
        Interlocked.MemoryBarrier();
        while (_work.TryDequeue(out var late))
        {
            Perform(late);
        }
    }

    /// <summary>Runs it on the calling thread, unless something else is run or waits.</summary>
    private bool TryPerform(IRunnable work)
    {
        if (!_turn.TryEnter())
        {
            return false;
        }

        try
        {
            if (!_work.IsEmpty || _isStopping)
            {
                return false;
            }

            Perform(work);
            return true;
        }
        finally
        {
            _turn.Exit();
        }
    }

    private void PerformNext()
    {
        lock (_turn)
        {
            if (_work.TryDequeue(out var work))
            {
                Perform(work);
            }
        }
    }

    /// <summary>False when there was nothing to do for as long as it may look.</summary>
    private bool HasWork()
    {
        if (!_work.IsEmpty)
        {
            return true;
        }

        for (var until = Stopwatch.GetTimestamp() + _spinTicks; Stopwatch.GetTimestamp() < until && !_isStopping;)
        {
            // Others that could run here go first.
            Thread.SpinWait(PausesPerLook);
            Thread.Yield();
            if (!_work.IsEmpty)
            {
                return true;
            }
        }

        return false;
    }

    private void Sleep()
    {
        Interlocked.Exchange(ref _isAsleep, 1);

        // Work that came before it could be seen that the thread sleeps. If its sender saw it all the same, the event is set, or about to be.
        if ((_work.IsEmpty && !_isStopping) || Interlocked.Exchange(ref _isAsleep, 0) == 0)
        {
            _wake.WaitOne();
        }
    }

    private void Perform(IRunnable work)
    {
        try
        {
            work.Run();
        }
        catch (Exception exception)
        {
            _report(exception);
        }
    }
}
