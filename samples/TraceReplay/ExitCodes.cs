namespace Kvcached.TraceReplay;

/// <summary>How the program ends.</summary>
internal static class ExitCodes
{
    /// <summary>All requests finished, and nothing was corrupt, mismatched or leaked.</summary>
    public const int Success = 0;

    /// <summary>Something did not hold, or a process failed.</summary>
    public const int Failed = 1;

    /// <summary>An option, a trace or a program is missing or wrong; nothing was started.</summary>
    public const int BadInput = 2;

    /// <summary>Ended by a signal, as shells report an interrupt.</summary>
    public const int Interrupted = 130;
}
