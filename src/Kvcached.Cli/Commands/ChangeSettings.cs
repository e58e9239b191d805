using System.ComponentModel;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary>What commands take that change something.</summary>
internal class ChangeSettings : HostSettings
{
    public const string TokenFileVariable = "KVCACHED_TOKEN_FILE";

    [CommandOption("--token-file <FILE>")]
    [Description("File with the host's token. Default: $KVCACHED_TOKEN_FILE, or management-PORT.token in the run directory of this user's hosts.")]
    public string? TokenFile { get; init; }

    /// <summary>The token that changes need.</summary>
    /// <exception cref="UsageException">It can't be read.</exception>
    public string ReadToken()
    {
        var variable = Environment.GetEnvironmentVariable(TokenFileVariable);
        return RunDirectory.ReadToken(TokenFile ?? (string.IsNullOrEmpty(variable) ? null : variable), ReadUrl());
    }
}
