using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Kvcached.Architecture.Tests;

/// <summary>The solution is complete, and versions stand in one place.</summary>
public sealed partial class SolutionTests
{
    public static TheoryData<string> AllProjects() => [.. RepositoryLayout.Projects.Keys.Order(StringComparer.Ordinal)];

    [Fact]
    public void Repository_HasProjects_InEveryArea() => Assert.Equal(
        ["bench", "samples", "src", "tests"],
        RepositoryLayout.Projects.Values.Select(project => project.Area).Distinct().Order(StringComparer.Ordinal));

    [Fact]
    public void Solution_Lists_EveryProjectAndNoOther()
    {
        var listed = SolutionProject().Matches(RepositoryLayout.ReadText("Kvcached.sln"))
            .Select(match => match.Groups["path"].Value.Replace('\\', '/'));
        Assert.Equal(
            RepositoryLayout.Projects.Values.Select(project => project.RelativePath).Order(StringComparer.Ordinal),
            listed.Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(AllProjects))]
    public void Project_NamesNoVersion_OfAPackage(string name)
    {
        var versioned = RepositoryLayout.Projects[name].Document.Descendants()
            .Where(element => element.Name.LocalName is "PackageReference" or "PackageVersion" or "PackageDownload")
            .Where(element => element.Attributes().Select(attribute => attribute.Name.LocalName)
                .Concat(element.Elements().Select(child => child.Name.LocalName))
                .Any(part => part is "Version" or "VersionOverride"));
        Assert.Empty(versioned.Select(element => element.ToString()));
    }

    [Theory]
    [MemberData(nameof(AllProjects))]
    public void Project_LeavesToTheCentralFile_WhatIsSetForAll(string name)
    {
        string[] central = ["TargetFramework", "TargetFrameworks", "Nullable", "ImplicitUsings", "TreatWarningsAsErrors", "LangVersion", "Version"];
        Assert.Empty(RepositoryLayout.Projects[name].Document.Descendants("PropertyGroup").Elements()
            .Select(element => element.Name.LocalName)
            .Intersect(central));
    }

    [Fact]
    public void CentralFile_HasAVersion_OfEveryPackageInUse()
    {
        var central = XDocument.Parse(RepositoryLayout.ReadText("Directory.Packages.props")).Descendants("PackageVersion")
            .Select(element => element.Attribute("Include")!.Value).ToHashSet(StringComparer.Ordinal);
        Assert.Subset(central, RepositoryLayout.Projects.Values.SelectMany(project => project.Packages).ToHashSet(StringComparer.Ordinal));
    }

    [GeneratedRegex("""^Project\("[^"]*"\) = "[^"]*", "(?<path>[^"]*\.csproj)",""", RegexOptions.Multiline)]
    private static partial Regex SolutionProject();
}
