using Kvcached.Client.Threads;
using Kvcached.Gpu.Fences;

namespace Kvcached.Client.Arenas;

/// <summary>A moment up to which all submitted work is waited for.</summary>
internal sealed class SyncPoint
{
    private volatile bool _isDone;

    public bool IsDone => _isDone;

    public void Reach() => _isDone = true;
}

/// <summary>
/// Waits for all work of the device on a thread of its own, so that nothing else has to. Where work is never under way, there is nothing to wait for
/// and no thread.
/// </summary>
internal sealed class Synchronizer : IDisposable
{
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(5);

    private readonly IStreamFences _fences;
    private readonly StepTracker _steps;
    private readonly Action _reached;
    private readonly Queue<SyncPoint> _waiting = new();
    private LibraryThread? _thread;

    /// <param name="fences">The device's.</param>
    /// <param name="steps">Hears that what could not be marked is complete.</param>
    /// <param name="reached">Called, by another thread, when a point was reached.</param>
    public Synchronizer(IStreamFences fences, StepTracker steps, Action reached) => (_fences, _steps, _reached) = (fences, steps, reached);

    /// <summary>Asks for all work submitted until now to be waited for. By one thread.</summary>
    public SyncPoint Request()
    {
        var point = new SyncPoint();
        if (_fences.IsImmediate)
        {
            _steps.Synchronized(_steps.TakeMark());
            point.Reach();
            return point;
        }

        if (_thread is null)
        {
            _thread = new LibraryThread("kvcached fence", TryReach);
            _thread.Start();
        }

        _thread.Post(() => _waiting.Enqueue(point));
        return point;
    }

    public void Dispose() => _thread?.Stop();

    private TimeSpan TryReach()
    {
        if (_waiting.Count == 0)
        {
            return TimeSpan.FromSeconds(1);
        }

        var (mark, count) = (_steps.TakeMark(), _waiting.Count);
        if (!_fences.TrySynchronize())
        {
            return RetryInterval;
        }

        _steps.Synchronized(mark);
        for (; count > 0; count--)
        {
            _waiting.Dequeue().Reach();
        }

        _reached();
        return RetryInterval;
    }
}
