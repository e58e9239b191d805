using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Deployment;

/// <summary>The Dockerfile's instructions, read as a builder would split them; it isn't built here.</summary>
public sealed class DockerfileTests
{
    private static readonly string[] Instructions = HostSettingsIn.LinesOf(RepositoryFiles.Read("Dockerfile").Replace("\\\n", " ", StringComparison.Ordinal)).ToArray();

    [Fact]
    public void Instructions_AreKnown_AndTheFirstNamesAStage()
    {
        string[] known = ["FROM", "RUN", "COPY", "WORKDIR", "ENV", "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT"];
        Assert.All(Instructions, line => Assert.Contains(line.Split(' ')[0], known));
        Assert.Equal(2, Instructions.Count(line => line.StartsWith("FROM ", StringComparison.Ordinal)));
        Assert.EndsWith(" AS build", Instructions[0], StringComparison.Ordinal);
        Assert.All(Instructions.Where(line => line.Contains("--from=", StringComparison.Ordinal)), line => Assert.Contains("--from=build ", line, StringComparison.Ordinal));
    }

    [Fact]
    public void Image_RunsWhatTheScriptsMake()
    {
        var build = string.Join('\n', Instructions);
        foreach (var script in new[] { "publish.sh", "build-native.sh" })
        {
            Assert.Contains($"./{script} /opt/kvcached", build, StringComparison.Ordinal);
            Assert.True((File.GetUnixFileMode(Path.Combine(RepositoryFiles.Root, script)) & UnixFileMode.UserExecute) != 0, script);
        }

        // Names of programs that projects make.
        Assert.Equal("ENTRYPOINT [\"/opt/kvcached/Kvcached.Host\"]", Instructions[^1]);
        Assert.Contains("<AssemblyName>Kvcached.Host</AssemblyName>", RepositoryFiles.Read("src", "Host", "Host.csproj"), StringComparison.Ordinal);
        Assert.Contains("<AssemblyName>kvctl</AssemblyName>", RepositoryFiles.Read("src", "Kvcached.Cli", "Kvcached.Cli.csproj"), StringComparison.Ordinal);
        Assert.Contains("VOLUME /run/kvcached", Instructions);
        Assert.Contains(Instructions, line => line.StartsWith("ENV XDG_RUNTIME_DIR=/run ", StringComparison.Ordinal));
    }

    [Fact]
    public void Context_LeavesOutWhatIsBuiltHere() =>
        Assert.Superset(new HashSet<string> { ".git", "**/bin", "**/obj", "artifacts" }, HostSettingsIn.LinesOf(RepositoryFiles.Read(".dockerignore")).ToHashSet());
}
