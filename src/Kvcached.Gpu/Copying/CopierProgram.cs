namespace Kvcached.Gpu.Copying;

/// <summary>Finds the copier's program.</summary>
internal static class CopierProgram
{
    private const string Name = "kvcached-copier";

    /// <summary>What to start and with which first arguments, or null and why not.</summary>
    /// <param name="path">A path, or null to look beside the calling program.</param>
    /// <param name="problem">What to tell the user when nothing is found.</param>
    public static (string File, string[] Arguments)? Find(string? path, out string problem)
    {
        var candidates = path is null
            ? [Path.Combine(AppContext.BaseDirectory, Name), Path.Combine(AppContext.BaseDirectory, Name + ".dll")]
            : new[] { path };
        problem = string.Empty;
        foreach (var candidate in candidates)
        {
            if (!File.Exists(candidate))
            {
                continue;
            }

            return candidate.EndsWith(".dll", StringComparison.Ordinal) ? (FindDotnet(), [candidate]) : (candidate, []);
        }

        problem = $"The copier's program was not found: {string.Join(" and ", candidates)} do not exist. Install it there or configure its path.";
        return null;
    }

    private static string FindDotnet()
    {
        if (Environment.ProcessPath is { } self && Path.GetFileNameWithoutExtension(self) == "dotnet")
        {
            return self;
        }

        var root = Environment.GetEnvironmentVariable("DOTNET_ROOT");
        var installed = string.IsNullOrEmpty(root) ? null : Path.Combine(root, "dotnet");
        return installed is not null && File.Exists(installed) ? installed : "dotnet";
    }
}
