using System.Globalization;
using Kvcached.Benchmarks.Measuring;

namespace Kvcached.Benchmarks.Scale;

/// <summary>How cost grows: coordinated maps by ranks and by pools, memory by blocks, and what a host takes to start.</summary>
internal static class ScaleBenchmark
{
    private static readonly int[] BlockCounts = [10_000, 100_000, 1_000_000, 10_000_000];

    private const string Help = """
        scale: a domain in one process (coordinator, page mappers over host memory, engines; messages by reference), pools that all lie on all ranks.
          --steps N      maps of each pool, and as many unmaps, after as many to warm up, 10 to 100000 (default 500)
          --ranks LIST   numbers of ranks, from 1 to 64, for one pool (default 2,4,8,16,32,64)
          --pools LIST   numbers of pools, from 1 to 64, on two ranks (default 1,2,4,8,16,32,64)
          --host FILE    Kvcached.Host as published: how long it takes to start, and its resident memory
          --starts N     times that it is started, 1 to 100 (default 5)
          --json FILE    write the figures there
        """;

    public static async Task<int> RunAsync(string[] args)
    {
        if (Arguments.Parse(args, Help) is not { } arguments)
        {
            return 2;
        }

        var steps = arguments.Number("--steps", 500, 10, 100_000);
        var rankCounts = Numbers("--ranks", arguments.Text("--ranks", "2,4,8,16,32,64"));
        var poolCounts = Numbers("--pools", arguments.Text("--pools", "1,2,4,8,16,32,64"));
        var host = arguments.Text("--host", string.Empty);
        var starts = arguments.Number("--starts", 5, 1, 100);
        var json = arguments.Text("--json", string.Empty);
        arguments.RequireAllRead();

        Console.WriteLine($"Maps of one page id and their unmaps, {steps} a pool; microseconds as the engine sees them, p50 / p99; load {ResultFile.LoadAverage()}");
        Console.WriteLine($"{"ranks",6} {"pools",6} {"map",18} {"unmap",18} {"decisions a second",20}");
        var domains = new List<DomainResult>();
        foreach (var (ranks, pools) in rankCounts.Select(r => (r, 1)).Concat(poolCounts.Select(p => (2, p))).Distinct())
        {
            domains.Add(await MeasureAsync(ranks, pools, steps));
        }

        Console.WriteLine($"{"blocks",10} {"allocator, bytes",18} {"a block",10}");
        var blocks = BlockCounts.Select(BlockMemory.Measure).ToArray();
        foreach (var result in blocks)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{result.BlockCount,10} {result.Bytes,18} {(double)result.Bytes / result.BlockCount,10:0.0}"));
        }

        var hosts = host.Length == 0 ? [] : await HostStart.MeasureAsync(host, starts);
        foreach (var start in hosts)
        {
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"host start: {start.MillisecondsToReady:0} ms, {start.ResidentBytes >> 20} MiB resident, {start.ProcessorMilliseconds:0} ms of processor"));
        }

        ResultFile.Write(json, "scale", new { steps, host = Path.GetFileName(host) }, new { domains, blocks, hosts });
        return 0;
    }

    private static async Task<DomainResult> MeasureAsync(int ranks, int pools, int steps)
    {
        await using var domain = await ScaleDomain.StartAsync(ranks, pools, steps);
        await domain.RunAsync(isMeasured: false);
        var seconds = await domain.RunAsync(isMeasured: true);
        var result = new DomainResult(ranks, pools, domain.Maps.Summarize(), domain.Unmaps.Summarize(), 2.0 * steps * pools / seconds);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{ranks,6} {pools,6} {Text(result.Map),18} {Text(result.Unmap),18} {result.DecisionsPerSecond,20:0}"));
        return result;
    }

    private static string Text(Summary summary) => string.Create(CultureInfo.InvariantCulture, $"{summary.P50:0} / {summary.P99:0}");

    private static int[] Numbers(string name, string list)
    {
        var numbers = list.Split(',').Select(text => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0).ToArray();
        return numbers.All(n => n is >= 1 and <= 64) ? numbers : throw new ArgumentException($"{name} {list}: give whole numbers from 1 to 64, with commas between them.");
    }

    /// <param name="Ranks">Ranks of each pool.</param>
    /// <param name="Pools">Pools that map at the same time.</param>
    /// <param name="Map">Microseconds from an engine's request to its grant.</param>
    /// <param name="Unmap">Microseconds from an engine's return to its answer.</param>
    /// <param name="DecisionsPerSecond">Decisions of all pools together.</param>
    private sealed record DomainResult(int Ranks, int Pools, Summary Map, Summary Unmap, double DecisionsPerSecond);
}
