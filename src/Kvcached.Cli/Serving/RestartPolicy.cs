namespace Kvcached.Cli.Serving;

/// <summary>
/// When a process that has ended is started again: at once the first time, then after ever longer pauses while it doesn't stay up, and no more after too many such lives.
/// </summary>
internal sealed class RestartPolicy
{
    /// <summary>Short lives in a row after which it is given up.</summary>
    public const int MaxShortLives = 8;

    /// <summary>A life that counts as one that stayed up.</summary>
    public static readonly TimeSpan LongLife = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

    private int _shortLives;

    /// <summary>Takes note of an end.</summary>
    /// <param name="lived">How long the process was up.</param>
    /// <returns>How long to wait before it is started again; null to give it up.</returns>
    public TimeSpan? AfterEnd(TimeSpan lived)
    {
        _shortLives = lived >= LongLife ? 0 : _shortLives + 1;
        if (_shortLives <= 1)
        {
            return TimeSpan.Zero;
        }

        var pause = FirstPause * Math.Pow(2, _shortLives - 2);
        return _shortLives > MaxShortLives ? null : pause < LongestPause ? pause : LongestPause;
    }
}
