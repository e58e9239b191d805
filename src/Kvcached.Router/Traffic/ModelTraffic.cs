namespace Kvcached.Router.Traffic;

/// <summary>How a request ended, as metrics tell it.</summary>
internal enum RequestOutcome
{
    /// <summary>The engine answered it.</summary>
    Answered,

    /// <summary>The engine refused it as the client's mistake: a status of 4xx.</summary>
    Rejected,

    /// <summary>The engine failed, or could not be reached.</summary>
    Failed,

    /// <summary>The router did not let it in.</summary>
    Refused,

    /// <summary>The client went away.</summary>
    Cancelled,
}

/// <summary>A model's traffic since the router started, in the terms of kvcached's frontend.</summary>
/// <param name="TotalRequests">Requests that came.</param>
/// <param name="SuccessfulRequests">Those answered.</param>
/// <param name="FailedRequests">Those that ended otherwise.</param>
/// <param name="RequestRate">Requests per second over the window.</param>
/// <param name="AverageResponseSeconds">Mean time from request to the last byte of its answer.</param>
/// <param name="LastActivity">When a request last came or ended; null when none has.</param>
internal sealed record TrafficSummary(
    long TotalRequests, long SuccessfulRequests, long FailedRequests, double RequestRate, double AverageResponseSeconds, DateTimeOffset? LastActivity);

/// <summary>Counts what one model was asked and answered. A request counts from when it comes, a stream until its last byte.</summary>
internal sealed class ModelTraffic(TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly RateWindow _rate = new();
    private readonly long _startedAt = time.GetTimestamp();
    private long _total;
    private long _answered;
    private long _ended;
    private TimeSpan _answerTime;
    private DateTimeOffset? _lastActivity;

    public void Came()
    {
        lock (_gate)
        {
            _total++;
            _rate.Add(Second());
            _lastActivity = time.GetUtcNow();
        }
    }

    public void Ended(RequestOutcome outcome, TimeSpan took)
    {
        lock (_gate)
        {
            _ended++;
            _lastActivity = time.GetUtcNow();
            if (outcome == RequestOutcome.Answered)
            {
                _answered++;
                _answerTime += took;
            }
        }
    }

    /// <param name="windowSeconds">1 to <see cref="RateWindow.MaxSeconds"/>.</param>
    public TrafficSummary Summarize(int windowSeconds)
    {
        lock (_gate)
        {
            return new TrafficSummary(
                _total, _answered, _ended - _answered, _rate.PerSecond(Second(), windowSeconds), _answered == 0 ? 0 : _answerTime.TotalSeconds / _answered, _lastActivity);
        }
    }

    private long Second() => (long)time.GetElapsedTime(_startedAt).TotalSeconds;
}
