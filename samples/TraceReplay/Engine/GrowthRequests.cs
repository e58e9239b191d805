using System.Collections.Immutable;
using Kvcached.Actors.Engines;
using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;

namespace Kvcached.TraceReplay.Engine;

/// <summary>
/// The engine's requests for pages: one at a time, beside its turns, and after a refusal not again before a pause that doubles with
/// every further one. Times are real time since the engine's start.
/// </summary>
internal sealed class GrowthRequests(IEnginePool pool)
{
    /// <summary>How long one request may wait for others to give memory up.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(1);

    /// <summary>Pause after the first refusal.</summary>
    public static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50);

    /// <summary>Longest pause.</summary>
    public static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    private Task<EngineResult<ImmutableArray<Extent>>>? _inFlight;
    private TimeSpan _pause = FirstPause;
    private TimeSpan _retryAt;

    /// <summary>Requests refused so far.</summary>
    public long RefusedCount { get; private set; }

    /// <summary>The last refusal; null once a later request was granted.</summary>
    public Refusal? LastRefusal { get; private set; }

    /// <summary>True while an answer is awaited.</summary>
    public bool IsInFlight => _inFlight is not null;

    /// <summary>True when the last request was refused and the pause after it isn't over.</summary>
    public bool IsPausing(TimeSpan now) => LastRefusal is not null && now < _retryAt;

    /// <summary>Takes an answer in, if one has come.</summary>
    public async Task PollAsync(TimeSpan now)
    {
        if (_inFlight is not { IsCompleted: true } answered)
        {
            return;
        }

        _inFlight = null;
        var result = await answered;
        LastRefusal = result.Refusal;
        if (result.IsGranted)
        {
            _pause = FirstPause;
            return;
        }

        RefusedCount++;
        _retryAt = now + _pause;
        _pause = _pause * 2 < LongestPause ? _pause * 2 : LongestPause;
    }

    /// <summary>Asks for pages unless an answer is awaited or a pause isn't over.</summary>
    public void Ask(int pageCount, TimeSpan now, CancellationToken cancellation)
    {
        if (pageCount > 0 && _inFlight is null && !IsPausing(now))
        {
            _inFlight = pool.GrowAsync(0, pageCount, Deadline, cancellation);
        }
    }

    /// <summary>Waits for the request in flight, if any.</summary>
    public async Task SettleAsync(TimeSpan now)
    {
        if (_inFlight is not null)
        {
            await ((Task)_inFlight).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (_inFlight.IsCompletedSuccessfully)
            {
                await PollAsync(now);
            }
        }
    }
}
