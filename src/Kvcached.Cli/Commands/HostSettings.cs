using System.ComponentModel;
using Spectre.Console;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary>What every command takes: which host to ask, and how to print.</summary>
internal class HostSettings : CommandSettings
{
    public const string UrlVariable = "KVCACHED_URL";
    public const string DefaultUrl = "http://127.0.0.1:8558";

    [CommandOption("--url <URL>")]
    [Description("Management address of a host of the domain. Default: $KVCACHED_URL, or http://127.0.0.1:8558.")]
    public string? Url { get; init; }

    [CommandOption("--json")]
    [Description("Prints the host's answer as JSON.")]
    public bool IsJson { get; init; }

    public Uri ReadUrl() => TryReadUrl() ?? throw new InvalidOperationException("The URL was not validated.");

    public override ValidationResult Validate() => TryReadUrl() is null
        ? ValidationResult.Error($"--url '{UrlText}' is no address; allowed: http://HOST:PORT")
        : ValidationResult.Success();

    private string UrlText
    {
        get
        {
            var variable = Environment.GetEnvironmentVariable(UrlVariable);
            return Url ?? (string.IsNullOrEmpty(variable) ? DefaultUrl : variable);
        }
    }

    private Uri? TryReadUrl() =>
        Uri.TryCreate(UrlText, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" ? url : null;
}
