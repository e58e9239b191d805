using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Kvcached.Cli.Serving;
using Kvcached.Router.Tests.Support;

namespace Kvcached.Router.Tests.Serving;

/// <summary>Real processes: the router, and in engines' place more of them, which answer health checks too.</summary>
public sealed class LauncherTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvcached-serve-").FullName;
    private readonly ConcurrentQueue<string> _said = new();

    public LauncherTests() => File.WriteAllText(Path.Combine(_folder, "inner.yaml"), "models: [{name: inner, replicas: [\"http://127.0.0.1:9\"]}]");

    private static string RouterProgram => Path.Combine(AppContext.BaseDirectory, "Kvcached.Router");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Launcher_StartsKeepsRunningAndEnds_EverythingOfAPlan()
    {
        var launcher = Create(Engine("conv", $"\"{RouterProgram}\", \"--models\", inner.yaml, \"--listen\", \"127.0.0.1:{{port}}\""));
        using var client = new HttpClient { Timeout = RouterRig.Patience };
        int[] ids;
        await using (launcher)
        {
            var url = await launcher.StartAsync(CancellationToken.None);
            using var health = JsonDocument.Parse(await client.GetStringAsync($"{url}/health/all"));
            Assert.True(Assert.Single(health.RootElement.GetProperty("health").GetProperty("conv").EnumerateObject()).Value.GetBoolean());

            var first = ProcessOf("conv-0")[0];
            using (var process = Process.GetProcessById(first))
            {
                process.Kill();
            }

            await RouterRig.UntilAsync(() => ProcessOf("conv-0").Length == 2);
            Assert.Contains(_said, line => line.StartsWith("conv-0 ended with exit code", StringComparison.Ordinal));
            Assert.False(launcher.RouterEnded.IsCompleted);
            ids = [ProcessOf("conv-0")[1], ProcessOf("router")[0]];
            Assert.All(ids, id => Assert.True(IsRunning(id)));
        }

        Assert.All(ids, id => Assert.False(IsRunning(id)));
    }

    [Fact]
    public async Task StartAsync_EngineThatNeverIsReady_SaysSoAndWhereItsLogIs()
    {
        await using var launcher = Create(Engine("conv", "/bin/sh, \"-c\", \"read line; # {port}\"", "readySeconds: 1"));
        var failure = await Assert.ThrowsAsync<LaunchFailedException>(() => launcher.StartAsync(CancellationToken.None));
        Assert.Matches("^conv-0 didn't answer http://127.0.0.1:[0-9]+/health with 200 within 1 s; see .*conv-0.log$", failure.Message);
    }

    [Fact]
    public async Task StartAsync_ProgramThatIsNotThere_SaysSo()
    {
        await using var launcher = Create(Engine("conv", "/nowhere/engine, \"{port}\"", "readySeconds: 5"));
        await Assert.ThrowsAsync<LaunchFailedException>(() => launcher.StartAsync(CancellationToken.None));
        Assert.Contains(_said, line => line.StartsWith("conv-0 can't be started: ", StringComparison.Ordinal));
    }

    private static string Engine(string name, string command, string more = "readySeconds: 60") =>
        $"router: {{arguments: [\"--listen\", \"127.0.0.1:0\"]}}\nmodels:\n  - name: {name}\n    launch:\n      - command: [{command}]\n        {more}\n";

    private Launcher Create(string text) => new(ServePlan.Parse(text, "models.yaml"), AppContext.BaseDirectory, _folder, _folder, _said.Enqueue, TimeProvider.System);

    // From the ready lines in its log, one for each life.
    private int[] ProcessOf(string name)
    {
        using var file = new FileStream(Path.Combine(_folder, name + ".log"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var reader = new StreamReader(file);
        return [.. reader.ReadToEnd().Split('\n').Where(line => line.StartsWith("{\"event\":\"ready\"", StringComparison.Ordinal) && line.EndsWith('}')).Select(IdIn)];
    }

    private static int IdIn(string line)
    {
        using var ready = JsonDocument.Parse(line);
        return ready.RootElement.GetProperty("pid").GetInt32();
    }

    private static bool IsRunning(int id)
    {
        try
        {
            using var process = Process.GetProcessById(id);
            return !process.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}
