using System.Runtime.InteropServices;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>Signals to processes of the run.</summary>
internal static partial class Signals
{
    public const int Kill = 9;

    /// <summary>SIGUSR1, which makes the page mapper of a host fail that was started with <c>--test-crash-signal</c>.</summary>
    public const int CrashMapper = 10;

    public const int Continue = 18;

    public const int Stop = 19;

    /// <summary>Sends a signal; false when there is no such process any more.</summary>
    public static bool Send(int processId, int signal) => kill(processId, signal) == 0;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int process, int signal);
}
