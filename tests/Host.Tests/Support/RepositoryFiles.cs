namespace Kvcached.Host.Tests.Support;

/// <summary>Files of the repository that tests hold against the code.</summary>
internal static class RepositoryFiles
{
    /// <summary>The repository's root, above the test's own folder.</summary>
    public static string Root { get; } = FindRoot();

    public static string Read(params string[] path) => File.ReadAllText(Path.Combine([Root, .. path]));

    private static string FindRoot()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory.FullName, "Kvcached.sln")))
        {
            directory = directory.Parent!;
        }

        return directory.FullName;
    }
}
