namespace Kvcached.TraceReplay.Orchestration;

/// <summary>The programs that a run starts.</summary>
/// <param name="Host">The host.</param>
/// <param name="Engine">This program, which is also the engine.</param>
/// <param name="EnginePrefix">Arguments before the engine's own: the assembly, when it was started with <c>dotnet</c>.</param>
internal sealed record ReplayBinaries(string Host, string Engine, string[] EnginePrefix)
{
    public const string HostName = "Kvcached.Host";

    /// <summary>Finds them, or says where they were looked for.</summary>
    /// <param name="binDirectory">Where the user says they are; null to look beside the program, then in the repository's build.</param>
    /// <param name="programDirectory">Where this program lies.</param>
    /// <param name="problem">What is missing, else null.</param>
    public static ReplayBinaries? Find(string? binDirectory, string programDirectory, out string? problem)
    {
        var candidates = binDirectory is not null ? [binDirectory] : Candidates(programDirectory).ToArray();
        var host = candidates.Select(directory => Path.GetFullPath(Path.Combine(directory, HostName))).FirstOrDefault(File.Exists);
        if (host is null)
        {
            problem = $"there is no {HostName} in {string.Join(" or ", candidates)}. Build it with ./demo.sh or 'dotnet build -c Release', or name its directory with --bin.";
            return null;
        }

        problem = null;
        var process = Environment.ProcessPath!;
        var isDotnet = Path.GetFileNameWithoutExtension(process) == "dotnet";
        return new ReplayBinaries(host, process, isDotnet ? [Path.Combine(programDirectory, "kvcached-replay.dll")] : []);
    }

    private static IEnumerable<string> Candidates(string programDirectory)
    {
        yield return programDirectory;
        if (RepositoryRoot.Find(programDirectory) is { } root)
        {
            // The build of the same configuration and framework as this program's own.
            var trimmed = programDirectory.TrimEnd(Path.DirectorySeparatorChar);
            var framework = Path.GetFileName(trimmed);
            var configuration = Path.GetFileName(Path.GetDirectoryName(trimmed));
            if (configuration is "Debug" or "Release")
            {
                yield return Path.Combine(root, "src", "Host", "bin", configuration, framework);
            }
        }
    }
}
