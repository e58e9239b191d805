using System.Globalization;
using Kvcached.Cli.Commands;

namespace Kvcached.Cli;

/// <summary>Where hosts of this user keep what is private to them.</summary>
internal static class RunDirectory
{
    /// <summary>As hosts choose it by default: <c>$XDG_RUNTIME_DIR/kvcached</c>, or <c>/tmp/kvcached-UID</c>.</summary>
    public static string DefaultPath()
    {
        var runtimeDirectory = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        return Path.IsPathFullyQualified(runtimeDirectory ?? string.Empty) ? Path.Combine(runtimeDirectory!, "kvcached") : $"/tmp/kvcached-{EffectiveUser()}";
    }

    /// <summary>The token of the host that serves management on that port.</summary>
    /// <exception cref="UsageException">There is none that this user may read.</exception>
    public static string ReadToken(string? file, Uri url)
    {
        var path = file ?? Path.Combine(DefaultPath(), string.Create(CultureInfo.InvariantCulture, $"management-{url.Port}.token"));
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UsageException(
                $"the token that changes need can't be read from {path} ({exception.Message.TrimEnd('.')}); run as the host's user, or name the file of its ready line with --token-file or ${ChangeSettings.TokenFileVariable}.");
        }
    }

    private static string EffectiveUser() => File.ReadLines("/proc/self/status")
        .First(line => line.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t', StringSplitOptions.RemoveEmptyEntries)[2];
}
