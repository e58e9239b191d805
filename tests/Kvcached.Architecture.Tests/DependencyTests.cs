namespace Kvcached.Architecture.Tests;

/// <summary>Dependencies go one way; see section 9 of the architecture.</summary>
public sealed class DependencyTests
{
    // What each project may be compiled against, directly or through others.
    private static readonly Dictionary<string, string[]> Allowed = new(StringComparer.Ordinal)
    {
        ["Kvcached.Core"] = [],
        ["Kvcached.Gpu"] = ["Kvcached.Core"],
        ["Kvcached.Actors"] = ["Kvcached.Core", "Kvcached.Gpu"],
        ["Host"] = ["Kvcached.Core", "Kvcached.Gpu", "Kvcached.Actors"],
        ["Kvcached.Client"] = ["Kvcached.Core", "Kvcached.Gpu"],
        ["Kvcached.Client.Native"] = ["Kvcached.Core", "Kvcached.Gpu", "Kvcached.Client"],
        ["Kvcached.Copier"] = ["Kvcached.Core", "Kvcached.Gpu"],
        ["Kvcached.Cli"] = ["Kvcached.Core"],
        ["Kvcached.Router"] = ["Kvcached.Core"],
    };

    public static TheoryData<string> SourceProjects() => [.. Names(project => project.Area == "src")];

    [Theory]
    [MemberData(nameof(SourceProjects))]
    public void SourceProject_ReferencesOnly_WhatItsLayerAllows(string name)
    {
        Assert.True(Allowed.TryGetValue(name, out var allowed), $"{name} has no place in the layers yet; give it one here and in the architecture.");
        Assert.Empty(RepositoryLayout.Projects[name].FindAllReferences().Except(allowed));
    }

    [Fact]
    public void Layers_OfTheMainLine_AreReallyReferenced()
    {
        Assert.Contains("Kvcached.Core", RepositoryLayout.Projects["Kvcached.Gpu"].Projects);
        Assert.Contains("Kvcached.Gpu", RepositoryLayout.Projects["Kvcached.Actors"].Projects);
        Assert.Contains("Kvcached.Actors", RepositoryLayout.Projects["Host"].Projects);
        Assert.Contains("Kvcached.Gpu", RepositoryLayout.Projects["Kvcached.Copier"].Projects);
        Assert.Contains("Kvcached.Core", RepositoryLayout.Projects["Kvcached.Cli"].Projects);
        Assert.Contains("Kvcached.Gpu", RepositoryLayout.Projects["Kvcached.Client"].Projects);
    }

    [Fact]
    public void Core_HasNoPackages() => Assert.Empty(RepositoryLayout.Projects["Kvcached.Core"].Packages);

    [Fact]
    public void AkkaPackages_AreReferencedOnly_ByActorsAndHostAndWhatMeasuresThem()
    {
        var users = Names(project => project.Packages.Any(IsAkka) && project.Area is not ("tests" or "bench"));
        Assert.Equal(["Host", "Kvcached.Actors"], users);
    }

    [Fact]
    public void AspNetCore_IsUsedOnly_ByTheHostAndTheRouter()
    {
        var users = Names(project =>
            project.Sdk.Contains("Web", StringComparison.Ordinal)
            || project.Frameworks.Any(framework => framework.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal))
            || project.Packages.Any(package => package.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal)));
        Assert.Equal(["Host", "Kvcached.Router"], users);
    }

    [Fact]
    public void SourceProjects_NeverReference_TestsSamplesOrBenchmarks() => Assert.Empty(
        from name in Names(project => project.Area == "src")
        from reference in RepositoryLayout.Projects[name].FindAllReferences()
        where RepositoryLayout.Projects[reference].Area != "src"
        select $"{name} -> {reference}");

    private static bool IsAkka(string package) =>
        package == "Akka" || package.StartsWith("Akka.", StringComparison.Ordinal) || package == "Hyperion";

    private static List<string> Names(Func<ProjectFile, bool> isWanted) =>
        [.. RepositoryLayout.Projects.Values.Where(isWanted).Select(project => project.Name).Order(StringComparer.Ordinal)];
}
