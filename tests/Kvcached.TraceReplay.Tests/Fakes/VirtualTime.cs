namespace Kvcached.TraceReplay.Tests.Fakes;

/// <summary>A clock that jumps to a timer's time as soon as someone waits for it: a run of minutes takes as long as its work.</summary>
internal sealed class VirtualTime : TimeProvider
{
    private long _ticks;

    /// <summary>Waits so far: what a busy loop would make explode.</summary>
    public int WaitCount { get; private set; }

    public TimeSpan Now => TimeSpan.FromTicks(Interlocked.Read(ref _ticks));

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Interlocked.Read(ref _ticks);

    public void Advance(TimeSpan span) => Interlocked.Add(ref _ticks, span.Ticks);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer();
        if (dueTime != Timeout.InfiniteTimeSpan && dueTime < LongestWait)
        {
            WaitCount++;
            ThreadPool.QueueUserWorkItem(_ =>
            {
                if (!timer.IsDisposed)
                {
                    Advance(dueTime);
                    callback(state);
                }
            });
        }

        return timer;
    }

    /// <summary>Limits that cancel something are longer than any wait of a turn, and must not fire because someone set them.</summary>
    public static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(15);

    private sealed class Timer : ITimer
    {
        public bool IsDisposed { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period) => true;

        public void Dispose() => IsDisposed = true;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
