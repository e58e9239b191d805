using System.Globalization;
using Kvcached.Benchmarks.Measuring;

namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>A coordinated map over real processes, against the bare messages and the mapping calls that it consists of.</summary>
internal static class CoordinatedMapBenchmark
{
    private const string Help = """
        coordinated-map: starts rank hosts over host memory, an engine and a pool over all of them; measures maps, unmaps and bare broadcasts in turn.
          --hosts N      ranks of the pool, a process each, 1 to 64 (default 4)
          --pages N      pages of one map, 1 to 256 (default 16)
          --runs N       runs, each with fresh processes, 1 to 100 (default 5)
          --steps N      maps of a run, after up to 1500 to warm up, 10 to 100000 (default 3000)
          --kept on|off  off: handles aren't kept, so that every map creates its memory (default on)
          --echo default|pinned  pinned: the bare messages are answered on threads like the page mappers' (default default)
          --spin TIME    how long page mappers' threads look for work before they sleep, such as 0 or "0.05 ms" (default: as hosts have it)
          --link akka|local|both  how the coordinator reaches ranks; both: in turn, run by run (default both)
          --json FILE    write the figures there
        """;

    public static async Task<int> RunAsync(string[] args)
    {
        if (Arguments.Parse(args, Help) is not { } arguments)
        {
            return 2;
        }

        var hosts = arguments.Number("--hosts", 4, 1, 64);
        var pages = arguments.Number("--pages", 16, 1, 256);
        var runs = arguments.Number("--runs", 5, 1, 100);
        var steps = arguments.Number("--steps", 3_000, 10, 100_000);
        var kept = arguments.Text("--kept", "on");
        var echo = arguments.Text("--echo", "default");
        var spin = arguments.Text("--spin", string.Empty);
        var link = arguments.Text("--link", "both");
        var json = arguments.Text("--json", string.Empty);
        arguments.RequireAllRead();
        Console.WriteLine($"TP={hosts}, maps of {pages} pages of {Geometries.BytesPerPageId >> 20} MiB, handles kept: {kept}, echoes: {echo}, spin: {(spin.Length == 0 ? "default" : spin)}; microseconds, p50 / p99");
        string[] links = link switch
        {
            "both" => ["akka", "local"],
            "akka" or "local" => [link],
            _ => throw new ArgumentException($"--link {link}: give akka, local or both."),
        };
        var results = links.ToDictionary(name => name, _ => new List<MapRunResult>(), StringComparer.Ordinal);
        for (var run = 0; run < runs; run++)
        {
            foreach (var name in links)
            {
                await using var hostsOfRun = await MapRun.StartAsync(new MapRunOptions(hosts, kept, echo, spin, name));
                results[name].Add(await hostsOfRun.MeasureAsync(pages, steps));
                Print($"run {run + 1}, {name}", results[name][^1]);
            }
        }

        var together = results.ToDictionary(pair => pair.Key, pair => MapRunResult.Together(pair.Value), StringComparer.Ordinal);
        foreach (var (name, result) in together)
        {
            Print($"together, {name}", result);
        }

        ResultFile.Write(
            json, "coordinated-map", new { hosts, pages, runs, steps, kept, echo, spin, link },
            together.ToDictionary(pair => pair.Key, pair => new { runs = results[pair.Key].Select(r => r.ToJson()), together = pair.Value.ToJson() }));
        return 0;
    }

    private static void Print(string title, MapRunResult result)
    {
        Console.WriteLine($"{title} (load {result.Load})");
        Row("coordinator: map", result.CoordinatorMaps);
        Row("  deciding and sending", result.CoordinatorDecides);
        Row("  to the last page mapper", result.WaysOut);
        Row("  page mapper", result.MapperMaps);
        Row("  slowest mapping calls", result.SlowestDrivers);
        Row("  back from the last of them", result.WaysBack);
        Row("bare broadcast and gather", result.Bare);
        Row("  one right after another", result.RepeatedBare);
        Row("coordinator: unmap", result.CoordinatorUnmaps);
        Row("engine: map", result.EngineMaps);
        Row("engine: unmap", result.EngineUnmaps);
        Row("engine: bare", result.EngineBare);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  processors used by each host {result.HostProcessors,8:0.00}"));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"  map / (bare + mapping calls): coordinator {result.RatioAt(s => s.P50):0.000} / {result.RatioAt(s => s.P99):0.000} (mean {result.RatioAt(s => s.Mean):0.000}), engine {result.EngineRatioAt(s => s.P50):0.000} / {result.EngineRatioAt(s => s.P99):0.000}"));
    }

    private static void Row(string name, Samples samples)
    {
        var summary = samples.Summarize();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {name,-28} {summary.P50,9:0.0} / {summary.P99,9:0.0}   n={summary.Count}"));
    }
}
