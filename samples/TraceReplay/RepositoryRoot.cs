namespace Kvcached.TraceReplay;

/// <summary>The checkout that a program was built in, if it still lies there.</summary>
internal static class RepositoryRoot
{
    private const string Landmark = "Kvcached.sln";

    /// <summary>The nearest directory at or above <paramref name="directory"/> that holds the solution, or null.</summary>
    public static string? Find(string directory)
    {
        for (var at = new DirectoryInfo(directory); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, Landmark)))
            {
                return at.FullName;
            }
        }

        return null;
    }
}
