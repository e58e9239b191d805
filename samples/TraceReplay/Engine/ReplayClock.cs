namespace Kvcached.TraceReplay.Engine;

/// <summary>Real time since the start of a replay, and the trace time that it stands for.</summary>
internal sealed class ReplayClock(TimeProvider time, double speed)
{
    private readonly long _start = time.GetTimestamp();

    /// <summary>Real time since the start.</summary>
    public TimeSpan Now => time.GetElapsedTime(_start);

    /// <summary>Trace time since the start.</summary>
    public TimeSpan TraceNow => Now * speed;

    /// <summary>Real time at which that trace time is reached.</summary>
    public TimeSpan WhenTrace(TimeSpan traceTime) => traceTime / speed;

    /// <summary>Waits until that real time.</summary>
    public Task WaitUntilAsync(TimeSpan moment, CancellationToken cancellation)
    {
        var left = moment - Now;
        return left > TimeSpan.Zero ? Task.Delay(left, time, cancellation) : Task.CompletedTask;
    }
}
