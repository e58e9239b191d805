using Kvcached.Gpu.Native;

namespace Kvcached.Client.Threads;

/// <summary>
/// Time since the machine started, asleep or not: a lease goes on while a scheduler is stopped or its machine suspended, and so must the clock that
/// measures it.
/// </summary>
internal sealed class BootTime : TimeProvider
{
    private const long NanosecondsPerSecond = 1_000_000_000;

    public static BootTime Instance { get; } = new();

    public override long TimestampFrequency => NanosecondsPerSecond;

    public override long GetTimestamp() => Libc.clock_gettime(Libc.CLOCK_BOOTTIME, out var time) == 0
        ? (time.Seconds * NanosecondsPerSecond) + time.Nanoseconds
        : throw new InvalidOperationException("This kernel has no CLOCK_BOOTTIME.");
}
