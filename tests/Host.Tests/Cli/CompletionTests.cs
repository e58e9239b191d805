using System.Diagnostics;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Cli;

/// <summary>
/// The completion scripts, each in its shell. Where names of pools are asked for, a stand-in of <c>kvctl</c> answers, since shells wait two seconds only.
/// </summary>
public sealed class CompletionTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kvcached-completion-");

    public CompletionTests()
    {
        var program = Path.Combine(_directory.FullName, "kvctl");
        File.WriteAllText(program, """
            #!/bin/sh
            case "$*" in
              names) echo conv; echo code ;;
              "names --gpus") echo GPU-5ac1 ;;
              *) exit 1 ;;
            esac
            """);
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    [Theory]
    [InlineData("li", "limit limit-percent list")]
    [InlineData("limit co", "code conv")]
    [InlineData("limit conv --fl", "--floor")]
    [InlineData("drain G", "GPU-5ac1")]
    [InlineData("completion f", "fish")]
    public async Task Bash_Completes(string typed, string expected)
    {
        var words = $"kvctl {typed}".Split(' ');
        Assert.Equal(expected, await RunAsync("bash", ["--norc", "-c"], "bash", $$"""
            COMP_WORDS=({{string.Join(' ', words)}}); COMP_CWORD={{words.Length - 1}}; COMPREPLY=(); _kvctl; printf '%s\n' "${COMPREPLY[@]}"
            """));
    }

    [SkippableTheory]
    [InlineData("li", "limit limit-percent list")]
    [InlineData("trim co", "code conv")]
    public async Task Zsh_Completes_AsRegistered(string typed, string expected)
    {
        var words = $"kvctl {typed}".Split(' ');
        var said = await RunAsync("zsh", ["-f", "-c"], "zsh", $$"""
            print -- ${_comps[kvctl]%% *}
            emulate sh; COMP_WORDS=({{string.Join(' ', words)}}); COMP_CWORD={{words.Length - 1}}; COMPREPLY=(); _kvctl; printf '%s\n' "${COMPREPLY[@]}"
            """);

        // What of it begins as typed is zsh's own to choose.
        Assert.Superset($"_bash_complete {expected}".Split(' ').ToHashSet(), said.Split(' ').ToHashSet());
    }

    [SkippableTheory]
    [InlineData("li", "limit limit-percent list")]
    [InlineData("watch co", "code conv")]
    [InlineData("drain ", "GPU-5ac1")]
    [InlineData("limit conv --fl", "--floor")]
    public async Task Fish_Completes(string typed, string expected) =>
        Assert.Equal(expected, await RunAsync("fish", ["--no-config", "-c"], "fish", $"complete -C 'kvctl {typed}' | string replace -r '\\t.*' ''"));

    /// <summary>Loads the script as its user would and runs something after it; what it printed, its lines in order.</summary>
    private async Task<string> RunAsync(string shell, string[] arguments, string name, string then)
    {
        var path = (Environment.GetEnvironmentVariable("PATH") ?? string.Empty).Split(':').Select(directory => Path.Combine(directory, shell)).FirstOrDefault(File.Exists);
        Skip.If(path is null, $"There is no {shell} in the PATH.");
        var (code, script, _) = await Kvctl.RunAsync(new Dictionary<string, string>(), "completion", name);
        Assert.Equal(0, code);
        var file = Path.Combine(_directory.FullName, "completion");
        await File.WriteAllTextAsync(file, script);

        var start = new ProcessStartInfo(path!, [.. arguments, $"source {file}\n{then}"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PATH"] = $"{_directory.FullName}:{start.Environment["PATH"]}";
        start.Environment["HOME"] = _directory.FullName;
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync().WaitAsync(HostLauncher.Patience);
        Assert.Equal(string.Empty, await errors);
        return string.Join(' ', (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal));
    }
}
