namespace Kvcached.Gpu.Tests.Support;

/// <summary>A clock that the test moves.</summary>
public sealed class ManualTime : TimeProvider
{
    private readonly Lock _gate = new();
    private readonly List<ManualTimer> _timers = [];
    private readonly TaskCompletionSource _firstTimer = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _ticks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Completes once somebody waits on this clock.</summary>
    public Task FirstTimer => _firstTimer.Task;

    public override long GetTimestamp() => Interlocked.Read(ref _ticks);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        lock (_gate)
        {
            var timer = new ManualTimer(() => callback(state), _ticks + dueTime.Ticks);
            _timers.Add(timer);
            _firstTimer.TrySetResult();
            return timer;
        }
    }

    public void Advance(TimeSpan time)
    {
        List<ManualTimer> due;
        lock (_gate)
        {
            _ticks += time.Ticks;
            due = [.. _timers.Where(t => t.DueTicks <= _ticks)];
            _timers.RemoveAll(due.Contains);
        }

        due.ForEach(t => t.Fire());
    }

    private sealed class ManualTimer(Action fire, long dueTicks) : ITimer
    {
        private bool _isDisposed;

        internal long DueTicks => dueTicks;

        public bool Change(TimeSpan dueTime, TimeSpan period) => false;

        public void Dispose() => _isDisposed = true;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        internal void Fire()
        {
            if (!_isDisposed)
            {
                fire();
            }
        }
    }
}
