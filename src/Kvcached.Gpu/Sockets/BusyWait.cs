using System.Diagnostics;
using System.Globalization;

namespace Kvcached.Gpu.Sockets;

/// <summary>
/// How long a thread that waits for a message looks for it before it sleeps. To wake a thread whose processor has gone to sleep takes longer than all that it then
/// does, and a coordinated map wakes ten of them. After a message others are likely, so the time counts from the last one.
/// </summary>
public static class BusyWait
{
    /// <summary>Name of the environment variable with microseconds, from 0 (never look, sleep at once) to 10000.</summary>
    public const string Variable = "KVCACHED_SPIN_MICROSECONDS";

    private const int LongestMicroseconds = 10_000;
    private const int DefaultMicroseconds = 500;

    // With fewer processors they have better to do.
    private const int LeastProcessors = 8;

    /// <summary>What processes do unless told otherwise: 500 microseconds with 8 processors and more, nothing with fewer.</summary>
    public static TimeSpan Default { get; } = Read(Environment.GetEnvironmentVariable(Variable), Environment.ProcessorCount);

    /// <summary>The time by the variable's text, null where it isn't set, and the number of processors. A text that says nothing sensible counts as not set.</summary>
    public static TimeSpan Read(string? text, int processorCount) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var microseconds) && microseconds <= LongestMicroseconds
            ? TimeSpan.FromMicroseconds(microseconds)
            : processorCount >= LeastProcessors ? TimeSpan.FromMicroseconds(DefaultMicroseconds) : TimeSpan.Zero;

    /// <summary>True while the time since <paramref name="start"/>, a timestamp, is below <paramref name="spin"/>; pauses for well under a microsecond then.</summary>
    public static bool GoesOn(long start, TimeSpan spin)
    {
        if (spin == TimeSpan.Zero || Stopwatch.GetElapsedTime(start) >= spin)
        {
            return false;
        }

        Thread.SpinWait(10);
        return true;
    }
}
