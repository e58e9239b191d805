using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Tests.Orchestration;

public sealed class MachineTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-machine-").FullName;

    [Fact]
    public void CountGpus_DeviceNodes_AreCountedWithoutTheirRelatives()
    {
        foreach (var name in new[] { "nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "nvidia" })
        {
            File.WriteAllText(Path.Combine(_directory, name), string.Empty);
        }

        Assert.Equal(3, MachineFacts.CountGpus(_directory));
        Assert.Equal(0, MachineFacts.CountGpus(Path.Combine(_directory, "missing")));
    }

    [Fact]
    public void ReadAvailableBytes_Meminfo_IsReadInKibibytes()
    {
        var path = Path.Combine(_directory, "meminfo");
        File.WriteAllLines(path, ["MemTotal:       24636656 kB", "MemAvailable:   8388608 kB"]);

        Assert.Equal(8L << 30, MachineFacts.ReadAvailableBytes(path));
        Assert.True(MachineFacts.ReadAvailableBytes(Path.Combine(_directory, "missing")) > 0);
    }

    [Fact]
    public void Apply_ForeignSettings_AreRemovedAndTheRuntimeIsKept()
    {
        var environment = new Dictionary<string, string?>
        {
            ["ASPNETCORE_URLS"] = "http://*:80", ["DOTNET_ENVIRONMENT"] = "Development", ["DOTNET_ROOT"] = "/usr/lib/dotnet",
            ["DOTNET_gcServer"] = "1", ["URLS"] = "x", ["PATH"] = "/bin",
        };

        CleanEnvironment.Apply(environment);

        Assert.Equal(["DOTNET_ROOT", "DOTNET_gcServer", "PATH"], environment.Keys.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Find_NoHost_NamesWhereItLooked()
    {
        Assert.Null(ReplayBinaries.Find(_directory, _directory, out var problem));
        Assert.Contains(_directory, problem, StringComparison.Ordinal);

        File.WriteAllText(Path.Combine(_directory, ReplayBinaries.HostName), string.Empty);
        Assert.Equal(Path.Combine(_directory, ReplayBinaries.HostName), ReplayBinaries.Find(_directory, "/", out _)!.Host);
    }

    [Fact]
    public void FindProblem_OutputFiles_MustHaveADirectory()
    {
        Assert.Null(OutputFiles.FindProblem(Path.Combine(_directory, "a.png"), null));
        Assert.Contains("no directory", OutputFiles.FindProblem(Path.Combine(_directory, "b", "a.png")), StringComparison.Ordinal);
        Assert.Contains("is a directory", OutputFiles.FindProblem(_directory), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"event":"ready","gpu":"HOST-0","domain":"demo","port":1234,"managementPort":5678,"pid":9,"capacityBytes":1}""", true)]
    [InlineData("""{"event":"other","gpu":"HOST-0","port":1234,"managementPort":5678,"pid":9}""", false)]
    [InlineData("""{"event":"ready","gpu":"HOST-0"}""", false)]
    [InlineData("""{"event":""", false)]
    [InlineData("info: started", false)]
    public void TryParse_HostReady_TakesOnlyTheReadyLine(string line, bool isReady) => Assert.Equal(isReady, HostReady.TryParse(line) is { Port: 1234, Gpu: "HOST-0" });

    public void Dispose() => Directory.Delete(_directory, recursive: true);
}
