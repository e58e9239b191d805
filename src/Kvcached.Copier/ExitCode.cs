namespace Kvcached.Copier;

/// <summary>Why the process ended.</summary>
internal static class ExitCode
{
    /// <summary>It was told to, its host is gone, or all checks passed.</summary>
    public const int Ok = 0;

    /// <summary>The device or the socket can't be used, or a check failed.</summary>
    public const int Failed = 1;

    /// <summary>The host sent something malformed.</summary>
    public const int Malformed = 2;

    /// <summary>The device no longer works; all memory is let go of by the end.</summary>
    public const int MemoryStuck = 3;

    /// <summary>The command line is wrong.</summary>
    public const int Usage = 64;
}
