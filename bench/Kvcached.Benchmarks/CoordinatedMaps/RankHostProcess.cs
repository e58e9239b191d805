using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>A host of the benchmark in a process of its own, which ends with this one.</summary>
internal sealed class RankHostProcess : IAsyncDisposable
{
    public const string CommandName = "rank-host";
    public const string ReportOrder = "report";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly Process _process;

    private RankHostProcess(Process process, int port) => (_process, Address) = (process, $"127.0.0.1:{port}");

    /// <summary><c>host:port</c> of its actors.</summary>
    public string Address { get; }

    /// <summary>Starts a host and waits until it has joined.</summary>
    /// <exception cref="InvalidOperationException">It ended instead; its complaints are on standard error.</exception>
    public static async Task<RankHostProcess> StartAsync(int index, string seed, string runDirectory, MapRunOptions options)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet")
        {
            start.ArgumentList.Add(typeof(RankHostProcess).Assembly.Location);
        }

        foreach (var argument in new[]
        {
            CommandName, "--index", index.ToString(CultureInfo.InvariantCulture), "--hosts", options.HostCount.ToString(CultureInfo.InvariantCulture),
            "--run-dir", runDirectory, "--kept", options.Kept, "--echo", options.Echo,
            "--link", options.Link,
        })
        {
            start.ArgumentList.Add(argument);
        }

        if (options.Spin.Length > 0)
        {
            start.ArgumentList.Add("--spin");
            start.ArgumentList.Add(options.Spin);
        }

        if (seed.Length > 0)
        {
            start.ArgumentList.Add("--seed");
            start.ArgumentList.Add(seed);
        }

        // The host is a web application, for which this is the default.
        start.Environment["DOTNET_gcServer"] = "1";
        var process = Process.Start(start)!;
        var line = await process.StandardOutput.ReadLineAsync().WaitAsync(Patience);
        return line is null
            ? throw new InvalidOperationException($"Host {index} ended before it had joined.")
            : new RankHostProcess(process, int.Parse(line, CultureInfo.InvariantCulture));
    }

    /// <summary>Has it make the bare broadcast over the echoes of those hosts.</summary>
    public Task PrepareBareAsync(IEnumerable<string> hosts) => OrderAsync("bare " + string.Join(' ', hosts));

    /// <summary>What it recorded since the last time.</summary>
    public async Task<HostReport> ReadReportAsync() => JsonSerializer.Deserialize<HostReport>(await OrderAsync(ReportOrder))!;

    public async ValueTask DisposeAsync()
    {
        _process.StandardInput.Close();
        await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(20)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.Dispose();
    }

    private async Task<string> OrderAsync(string order)
    {
        await _process.StandardInput.WriteLineAsync(order);
        await _process.StandardInput.FlushAsync();
        return await _process.StandardOutput.ReadLineAsync().WaitAsync(Patience)
            ?? throw new InvalidOperationException($"A host ended instead of answering '{order}'.");
    }
}
