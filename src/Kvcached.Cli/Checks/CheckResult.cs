namespace Kvcached.Cli.Checks;

/// <summary>How a check ended.</summary>
internal enum CheckStatus
{
    Ok,

    /// <summary>It works, but an operator should know.</summary>
    Note,

    /// <summary>It has to be fixed.</summary>
    Wrong,
}

/// <summary>What a check found.</summary>
/// <param name="Check">What was looked at.</param>
/// <param name="Status">How it is.</param>
/// <param name="Detail">What was found.</param>
/// <param name="Fix">What to do; empty when there is nothing to do.</param>
internal sealed record CheckResult(string Check, CheckStatus Status, string Detail, string Fix = "");
