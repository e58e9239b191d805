using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Kvcached.Cli.Processes;

namespace Kvcached.Cli.Serving;

/// <summary>Starts what a plan says, in order and each once what it needs is ready; keeps it running; ends it in the opposite order.</summary>
internal sealed class Launcher(ServePlan plan, string binDirectory, string workDirectory, string fileDirectory, Action<string> say, TimeProvider time) : IAsyncDisposable
{
    private const string Loopback = "127.0.0.1";
    private static readonly TimeSpan ReadyLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan HealthInterval = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(30);

    private readonly ProcessGuard _guard = ProcessGuard.Start();
    private readonly List<SupervisedProcess> _started = [];

    /// <summary>Completes when the router runs no more, though it should.</summary>
    public Task RouterEnded { get; private set; } = Task.CompletedTask;

    /// <summary>Starts everything and waits until all of it is ready.</summary>
    /// <returns>The router's address.</returns>
    /// <exception cref="LaunchFailedException">Something didn't get ready. What runs by then is ended by <see cref="DisposeAsync"/>.</exception>
    public async Task<string> StartAsync(CancellationToken cancellation)
    {
        var sockets = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var host in plan.Hosts)
        {
            var process = Start(new ProcessSpec(
                host.Name, [Program("Kvcached.Host"), "--port", "0", "--management-port", "0", "--run-dir", Path.Combine(workDirectory, "run"), .. host.Arguments],
                new Dictionary<string, string>(), fileDirectory));
            using var ready = await WaitForLineAsync(process, cancellation);
            sockets[host.Name] = ready.RootElement.GetProperty("socket").GetString()!;
        }

        var ports = plan.Engines.ToDictionary(engine => engine, _ => FindFreePort());
        await StartEnginesAsync(ports, sockets, cancellation);

        var file = Path.Combine(workDirectory, "router.yaml");
        await File.WriteAllTextAsync(file, plan.RouterFile(ports), cancellation);
        var router = Start(new ProcessSpec("router", [Program("Kvcached.Router"), "--models", file, .. plan.RouterArguments], new Dictionary<string, string>(), fileDirectory));
        using var routerReady = await WaitForLineAsync(router, cancellation);
        RouterEnded = router.Ended;
        return routerReady.RootElement.GetProperty("url").GetString()!;
    }

    /// <summary>Ends everything, the router first, hosts last.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var process in Enumerable.Reverse(_started))
        {
            await process.StopAsync(Grace);
            process.Dispose();
        }

        await _guard.DisposeAsync();
    }

    private async Task StartEnginesAsync(Dictionary<EnginePlan, int> ports, Dictionary<string, string> sockets, CancellationToken cancellation)
    {
        // All at once, since each may take minutes; the first that fails ends the waiting for the others.
        using var failed = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        await Task.WhenAll(plan.Engines.Select(async engine =>
        {
            try
            {
                await StartEngineAsync(engine, ports[engine], sockets, failed.Token);
            }
            catch (LaunchFailedException)
            {
                await failed.CancelAsync();
                throw;
            }
        }));
    }

    private async Task StartEngineAsync(EnginePlan engine, int port, Dictionary<string, string> sockets, CancellationToken cancellation)
    {
        var socket = sockets.GetValueOrDefault(engine.Launch.Host ?? (plan.Hosts.Count > 0 ? plan.Hosts[0].Name : string.Empty));
        var process = Start(new ProcessSpec(
            engine.Name, engine.CommandFor(port, socket),
            engine.Launch.Environment.ToDictionary(
                pair => pair.Key,
                pair => pair.Value.Replace("{port}", port.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal).Replace("{socket}", socket, StringComparison.Ordinal)),
            Path.Combine(fileDirectory, engine.Launch.Directory ?? ".")));
        var url = string.Create(CultureInfo.InvariantCulture, $"http://{Loopback}:{port}{engine.HealthPath}");
        using var overdue = new CancellationTokenSource(TimeSpan.FromSeconds(engine.Launch.ReadySeconds), time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(overdue.Token, cancellation);
        using var client = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = AnswerLimit };
        using var timer = new PeriodicTimer(HealthInterval, time);
        try
        {
            while (!await IsWellAsync(client, url, linked.Token))
            {
                if (process.Ended.IsCompleted)
                {
                    throw NotReady(process, process.LastEnd);
                }

                await timer.WaitForNextTickAsync(linked.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw NotReady(process, $"didn't answer {url} with 200 within {engine.Launch.ReadySeconds:0.#} s");
        }

        say($"{engine.Name} is ready at http://{Loopback}:{port.ToString(CultureInfo.InvariantCulture)}");
    }

    private SupervisedProcess Start(ProcessSpec spec)
    {
        var process = new SupervisedProcess(spec, _guard, workDirectory, say, time);
        lock (_started)
        {
            _started.Add(process);
        }

        process.Start();
        return process;
    }

    private async Task<JsonDocument> WaitForLineAsync(SupervisedProcess process, CancellationToken cancellation)
    {
        await ((Task)Task.WhenAny(process.FirstLine, process.Ended)).WaitAsync(ReadyLimit, time, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellation.ThrowIfCancellationRequested();
        if (!process.FirstLine.IsCompleted)
        {
            throw NotReady(process, process.LastEnd.Length > 0 ? process.LastEnd : $"said nothing within {ReadyLimit.TotalSeconds} s");
        }

        try
        {
            var ready = JsonDocument.Parse(await process.FirstLine);
            say($"{process.Name} is ready");
            return ready;
        }
        catch (JsonException)
        {
            throw NotReady(process, "said something else than that it is ready");
        }
    }

    private string Program(string name)
    {
        var path = Path.Combine(binDirectory, name);
        return File.Exists(path) ? path : throw new UsageException($"there is no {name} in {binDirectory}; name the folder that has it with --bin.");
    }

    private static LaunchFailedException NotReady(SupervisedProcess process, string why) => new($"{process.Name} {why}; see {process.LogPath}");

    private static async Task<bool> IsWellAsync(HttpClient client, string url, CancellationToken cancellation)
    {
        try
        {
            using var response = await client.GetAsync(url, cancellation);
            return response.IsSuccessStatusCode;
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException || (exception is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return false;
        }
    }

    // Taken and given back: the engine takes it a moment later, and is started again should another have been faster.
    private static int FindFreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}

/// <summary>Something that was started didn't get ready.</summary>
internal sealed class LaunchFailedException(string message) : Exception(message);
