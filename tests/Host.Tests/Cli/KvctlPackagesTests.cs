using System.Diagnostics;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Cli;

/// <summary><c>kvctl</c> as people get it: a .NET tool, and a single file. Each is made as the documents say, and run.</summary>
public sealed class KvctlPackagesTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kvcached-kvctl-");

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public async Task Tool_PackedAndInstalled_Runs()
    {
        // Of the build that this test is of; nothing is fetched, since a tool carries what it needs.
        var configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;
        var packages = Path.Combine(_directory.FullName, "packages");
        await RunAsync("dotnet", "pack", Path.Combine(RepositoryFiles.Root, "src", "Kvcached.Cli"), "--configuration", configuration, "--no-build", "--output", packages);
        var sources = Path.Combine(_directory.FullName, "nuget.config");
        await File.WriteAllTextAsync(sources, $"<configuration><packageSources><clear /><add key=\"here\" value=\"{packages}\" /></packageSources></configuration>");
        var tools = Path.Combine(_directory.FullName, "tools");
        await RunAsync("dotnet", "tool", "install", "Kvcached.Cli", "--tool-path", tools, "--configfile", sources);
        await IsKvctlAsync(Path.Combine(tools, "kvctl"));
    }

    [Fact]
    [Trait("Category", "Long")]
    public async Task SingleFile_Published_RunsAlone()
    {
        await RunAsync(Path.Combine(RepositoryFiles.Root, "publish.sh"), "--kvctl", _directory.FullName);
        Assert.Equal(["kvctl"], _directory.GetFiles().Select(file => file.Name));
        await IsKvctlAsync(Path.Combine(_directory.FullName, "kvctl"));
    }

    private async Task IsKvctlAsync(string program)
    {
        Assert.Contains("drain", await RunAsync(program, "--help"), StringComparison.Ordinal);

        // Reads YAML and computes: more than its own text.
        var models = Path.Combine(_directory.FullName, "models.yaml");
        await File.WriteAllTextAsync(models, "gpus: [{name: gpu0, memory: 80GiB}]\nmodels: [{name: chat, gpus: [gpu0], weights: 16GiB, floor: 25%}]\n");
        Assert.Contains("chat", await RunAsync(program, "plan", models), StringComparison.Ordinal);
    }

    private async Task<string> RunAsync(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = _directory.FullName };
        if (arguments.Contains("install"))
        {
            // A package of the same version that was installed before must not be taken for this one.
            start.Environment["NUGET_PACKAGES"] = Path.Combine(_directory.FullName, "nuget");
        }

        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(5));
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {await errors}{await output}");
        return await output;
    }
}
