using System.Runtime.CompilerServices;

namespace Kvcached.Architecture.Tests;

/// <summary>Finds the repository that these tests were compiled from, and its projects.</summary>
internal static class RepositoryLayout
{
    public static string Root { get; } = FindRoot();

    /// <summary>Every project, by its file name without extension.</summary>
    public static IReadOnlyDictionary<string, ProjectFile> Projects { get; } =
        new[] { "src", "tests", "samples", "bench" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Root, folder), "*.csproj", SearchOption.AllDirectories))
            .Select(ProjectFile.Read)
            .ToDictionary(project => project.Name, StringComparer.Ordinal);

    public static string ReadText(string relativePath) => File.ReadAllText(Path.Combine(Root, relativePath));

    private static string FindRoot([CallerFilePath] string sourcePath = "")
    {
        var directory = Path.GetDirectoryName(sourcePath);
        while (directory is not null && !File.Exists(Path.Combine(directory, "Kvcached.sln")))
        {
            directory = Path.GetDirectoryName(directory);
        }

        return directory ?? throw new DirectoryNotFoundException($"No Kvcached.sln above '{sourcePath}'; run the tests where they were built.");
    }
}
