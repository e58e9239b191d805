namespace Kvcached.TraceReplay.Engine;

/// <summary>Allowed ranges of the options that the orchestrator and its engines share.</summary>
internal static class ReplayLimits
{
    /// <summary>The first option out of range, as a sentence, or null.</summary>
    public static string? FindProblem(double minutes, double speed, double decodeStepMilliseconds, double prefillTokensPerSecond, double drainSeconds) =>
        Check("--minutes", minutes, 0.01, 1440)
        ?? Check("--speed", speed, 0.01, 1000)
        ?? Check("--decode-step-ms", decodeStepMilliseconds, 0.1, 10_000)
        ?? Check("--prefill-tokens-per-second", prefillTokensPerSecond, 1, 1e9)
        ?? Check("--drain-seconds", drainSeconds, 0, 86_400);

    private static string? Check(string option, double value, double least, double most) =>
        value >= least && value <= most ? null : FormattableString.Invariant($"{option} {value}: use {least} to {most}.");
}
