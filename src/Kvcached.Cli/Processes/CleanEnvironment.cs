namespace Kvcached.Cli.Processes;

/// <summary>
/// Keeps settings that were meant for other programs away from the ones that are started: an <c>ASPNETCORE_URLS</c> of the user's shell
/// must not move a host's ports.
/// </summary>
internal static class CleanEnvironment
{
    private static readonly string[] Removed = ["ASPNETCORE_", "DOTNET_", "URLS", "HTTP_PORTS", "HTTPS_PORTS", "KESTREL__", "LOGGING__"];

    /// <summary>Where the runtime is and how it behaves.</summary>
    private static readonly string[] Kept =
        ["DOTNET_ROOT", "DOTNET_SYSTEM_", "DOTNET_GC", "DOTNET_TIERED", "DOTNET_TC_", "DOTNET_BUNDLE_EXTRACT_BASE_DIR", "DOTNET_NOLOGO", "DOTNET_CLI_"];

    public static void Apply(IDictionary<string, string?> environment)
    {
        foreach (var name in environment.Keys.ToArray())
        {
            if (StartsWithAny(name, Removed) && !StartsWithAny(name, Kept))
            {
                environment.Remove(name);
            }
        }
    }

    private static bool StartsWithAny(string name, string[] prefixes) =>
        Array.Exists(prefixes, prefix => name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase));
}
