using System.Text.Json;
using Kvcached.Benchmarks.Measuring;

namespace Kvcached.Benchmarks.Routers;

/// <summary>What the router costs beside YARP that only forwards, to the same engine in the same run, and beside no proxy at all.</summary>
internal static class RouterBenchmark
{
    private const string Help = """
        router: latency and throughput through Kvcached.Router, through YARP that only forwards, and without either; engine, proxies and clients on this machine.
          --rounds N      of each, in turn, 1 to 100 (default 5)
          --requests N    of a round, 100 to 10000000 (default 5000)
          --clients N     that ask as fast as they can, 1 to 1000 (default 16)
          --rate N        requests a second of the rounds at a fixed rate, 1 to 100000 (default 200)
          --json FILE     write the figures there
        """;

    public static async Task<int> RunAsync(string[] args)
    {
        if (Arguments.Parse(args, Help) is not { } arguments)
        {
            return 2;
        }

        var roundCount = arguments.Number("--rounds", 5, 1, 100);
        var requestCount = arguments.Number("--requests", 5000, 100, 10_000_000);
        var clientCount = arguments.Number("--clients", 16, 1, 1000);
        var rate = arguments.Number("--rate", 200, 1, 100_000);
        var json = arguments.Text("--json", string.Empty);
        arguments.RequireAllRead();

        var models = Path.Combine(Path.GetTempPath(), $"kvcached-bench-{Environment.ProcessId}.yaml");
        var program = Path.Combine(AppContext.BaseDirectory, "Kvcached.Benchmarks");
        try
        {
            await using var engine = await PeerProcess.StartAsync(program, BareServer.CommandName);
            await using var plain = await PeerProcess.StartAsync(program, BareServer.CommandName, "--forward", engine.FirstLine);
            await File.WriteAllTextAsync(models, $"models:\n  - name: bench\n    healthPath: /health\n    replicas: [\"{engine.FirstLine}\"]\n");
            await using var router = await PeerProcess.StartAsync(Path.Combine(AppContext.BaseDirectory, "Kvcached.Router"), "--models", models, "--listen", "127.0.0.1:0");
            using var ready = JsonDocument.Parse(router.FirstLine);
            Way[] ways = [new("direct", engine.FirstLine), new("plain YARP", plain.FirstLine), new("router", ready.RootElement.GetProperty("url").GetString()!)];
            for (var round = -1; round < roundCount; round++)
            {
                foreach (var way in ways)
                {
                    var (closed, open) = (await LoadRun.ClosedAsync(way.Url, clientCount, requestCount), await LoadRun.OpenAsync(way.Url, rate, Math.Min(requestCount, rate * 10)));
                    if (round >= 0)
                    {
                        way.Add(closed, open);
                    }
                }
            }

            Console.WriteLine($"microseconds of a request; {clientCount} clients, then {rate} requests a second; {roundCount} rounds; load {ResultFile.LoadAverage()}");
            Console.WriteLine($"{"way",-12} {"requests/s",10} {"p50",8} {"p99",8}   {"p50 at rate",12} {"p99 at rate",12}");
            foreach (var way in ways)
            {
                var (closed, open) = (way.Closed.Summarize(), way.Open.Summarize());
                Console.WriteLine($"{way.Name,-12} {way.PerSecond.Summarize().P50,10:0} {closed.P50,8:0} {closed.P99,8:0}   {open.P50,12:0} {open.P99,12:0}");
            }

            ResultFile.Write(json, "router", new { roundCount, requestCount, clientCount, rate }, ways.Select(way => new
            {
                way.Name, requestsPerSecond = way.PerSecond.Summarize(), closedMicroseconds = way.Closed.Summarize(), atRateMicroseconds = way.Open.Summarize(),
            }));
            return 0;
        }
        finally
        {
            File.Delete(models);
        }
    }

    private sealed class Way(string name, string address)
    {
        public string Name { get; } = name;

        public Uri Url { get; } = new(new Uri(address), "/v1/completions");

        public Samples PerSecond { get; } = new();

        public Samples Closed { get; } = new();

        public Samples Open { get; } = new();

        public void Add(LoadRun closed, LoadRun open)
        {
            PerSecond.Add(closed.RequestsPerSecond);
            Closed.AddRange(closed.Microseconds.Values);
            Open.AddRange(open.Microseconds.Values);
        }
    }
}
