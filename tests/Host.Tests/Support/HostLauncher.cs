using System.Diagnostics;
using System.Text.Json;
using Kvcached.Core.Contracts;

namespace Kvcached.Host.Tests.Support;

/// <summary>Starts hosts as processes of their own, each with directories of its own, and stops what is left at the end.</summary>
public sealed class HostLauncher : IAsyncDisposable
{
    // Generous, since it only bounds a test that hangs.
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly List<RunningHost> _hosts = [];
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kvcached-host-tests-");

    /// <summary>A directory for this test alone, private to the user.</summary>
    public string TestDirectory => _directory.FullName;

    /// <summary>A program, with its arguments, that starts the hosts; empty = started as they are.</summary>
    public string[] Through { get; set; } = [];

    /// <summary>Starts a host of main memory on free ports and waits until it says that it is ready.</summary>
    public Task<RunningHost> StartReadyAsync(params string[] arguments) => StartReadyAtAsync("0", arguments);

    /// <summary>The same, with that port of its management HTTP.</summary>
    public async Task<RunningHost> StartReadyAtAsync(string managementPort, params string[] arguments)
    {
        var host = Start(["--port", "0", "--management-port", managementPort, "--memory", "64MiB", .. arguments]);
        await host.ReadReadyAsync();
        return host;
    }

    /// <summary>Starts a host with exactly these arguments.</summary>
    public RunningHost Start(params string[] arguments)
    {
        string[] words = [.. Through, "dotnet", Path.Combine(AppContext.BaseDirectory, "Kvcached.Host.dll"), .. arguments];
        var start = new ProcessStartInfo(words[0], words[1..])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = TestDirectory,
        };

        // Locks are the user's, so that tests that run beside each other need users' directories of their own.
        start.Environment["XDG_RUNTIME_DIR"] = TestDirectory;
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("KVCACHED_", StringComparison.Ordinal)).ToList())
        {
            start.Environment.Remove(name);
        }

        var host = new RunningHost(Process.Start(start)!);
        _hosts.Add(host);
        return host;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var host in _hosts)
        {
            await host.DisposeAsync();
        }

        _directory.Delete(recursive: true);
    }

    internal static ReadyEvent ReadReadyLine(string line) => JsonSerializer.Deserialize(line, HostJsonContext.Default.ReadyEvent)!;
}
