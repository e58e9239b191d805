namespace Kvcached.Core.Engines;

/// <summary>When a request without an answer is sent again, under its id.</summary>
public static class Resending
{
    /// <summary>How often it is sent in short intervals before the long one.</summary>
    public const int QuickTimes = 6;

    /// <summary>
    /// What was lost was most likely lost with a coordinator that was just moving, and its successor answers within a few hundred milliseconds. Whoever
    /// still waits a second later waits for memory.
    /// </summary>
    private static readonly TimeSpan Quick = TimeSpan.FromMilliseconds(150);

    /// <summary>How long to wait for an answer after the last time that it was sent.</summary>
    /// <param name="timesSent">How often it was sent already.</param>
    /// <param name="longest">The wait after the first few times, and the only one when it is shorter than theirs.</param>
    public static TimeSpan After(int timesSent, TimeSpan longest) => timesSent <= QuickTimes && Quick < longest ? Quick : longest;
}
