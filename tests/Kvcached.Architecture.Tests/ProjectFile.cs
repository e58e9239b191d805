using System.Xml.Linq;

namespace Kvcached.Architecture.Tests;

/// <summary>What one project file says.</summary>
/// <param name="Name">File name without extension.</param>
/// <param name="RelativePath">Path below the repository's root, with slashes.</param>
/// <param name="Sdk">The SDK.</param>
/// <param name="Projects">Names of the projects that it references.</param>
/// <param name="Packages">Names of the packages that it references.</param>
/// <param name="Frameworks">Names of the shared frameworks that it references.</param>
/// <param name="Document">The file.</param>
internal sealed record ProjectFile(
    string Name, string RelativePath, string Sdk, IReadOnlyList<string> Projects, IReadOnlyList<string> Packages,
    IReadOnlyList<string> Frameworks, XDocument Document)
{
    /// <summary>The first folder: <c>src</c>, <c>tests</c>, <c>samples</c> or <c>bench</c>.</summary>
    public string Area => RelativePath.Split('/')[0];

    public static ProjectFile Read(string path)
    {
        var document = XDocument.Load(path);
        return new ProjectFile(
            Path.GetFileNameWithoutExtension(path),
            Path.GetRelativePath(RepositoryLayout.Root, path).Replace('\\', '/'),
            document.Root!.Attribute("Sdk")?.Value ?? string.Empty,
            [.. Includes(document, "ProjectReference").Select(include => Path.GetFileNameWithoutExtension(include.Replace('\\', '/')))],
            [.. Includes(document, "PackageReference")],
            [.. Includes(document, "FrameworkReference")],
            document);
    }

    /// <summary>Every project that this one is compiled against, itself not included.</summary>
    public IReadOnlySet<string> FindAllReferences()
    {
        var found = new HashSet<string>(StringComparer.Ordinal);
        var waiting = new Queue<string>(Projects);
        while (waiting.TryDequeue(out var name))
        {
            if (found.Add(name))
            {
                foreach (var next in RepositoryLayout.Projects[name].Projects)
                {
                    waiting.Enqueue(next);
                }
            }
        }

        return found;
    }

    private static IEnumerable<string> Includes(XDocument document, string element) =>
        document.Descendants(element).Select(item => item.Attribute("Include")?.Value).OfType<string>();
}
