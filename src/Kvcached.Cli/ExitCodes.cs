using Spectre.Console.Cli;

namespace Kvcached.Cli;

/// <summary>Exit codes of <c>kvctl</c>, and the one line on stderr that goes with each but the first.</summary>
internal static class ExitCodes
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int Usage = 2;

    /// <summary>No host answered.</summary>
    public const int Unreachable = 3;

    /// <summary>The host answered that it can't; the message is its own.</summary>
    public const int Refused = 4;

    /// <summary>What was asked for is in force and not reached yet: a pool holds more than its limit, or a GPU isn't quiet.</summary>
    public const int Deferred = 5;

    /// <summary>What was looked at isn't as it should be: a plan doesn't fit, or a check found something.</summary>
    public const int Unfit = 6;

    public static int Report(Exception exception, ITypeResolver? resolver)
    {
        var (code, message) = exception switch
        {
            HostUnreachableException => (Unreachable, exception.Message),
            HostRefusedException => (Refused, exception.Message),
            UsageException => (Usage, exception.Message),
            CommandAppException => (Usage, $"{exception.Message.TrimEnd('.')}; kvctl --help lists commands and options."),
            _ => (Failed, exception.Message),
        };
        Console.Error.WriteLine($"kvctl: {message.ReplaceLineEndings(" ")}");
        return code;
    }
}
