namespace Kvcached.Router.Tests.Support;

/// <summary>The repository that these tests were built in.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    private static string Find()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Kvcached.sln")))
        {
            folder = folder.Parent ?? throw new InvalidOperationException($"No Kvcached.sln above {AppContext.BaseDirectory}.");
        }

        return folder.FullName;
    }
}
