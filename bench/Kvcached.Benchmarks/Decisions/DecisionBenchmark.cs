using System.Diagnostics;
using System.Globalization;
using Kvcached.Benchmarks.Measuring;
using Kvcached.Core.Engines;

namespace Kvcached.Benchmarks.Decisions;

/// <summary>What one decision costs the coordinator, without sending it: microseconds and allocated bytes, by number of ranks.</summary>
internal static class DecisionBenchmark
{
    private const string Help = """
        decision: the coordinator's own work for a map of 16 pages and for its unmap, without actors and without I/O.
          --rounds N     maps, and unmaps, measured for each number of ranks, 1000 to 10000000 (default 100000)
          --extents N    extents of 16 pages that the pool has mapped meanwhile, 0 to 100000 (default 1000)
          --json FILE    write the figures there
        """;

    private static readonly int[] RankCounts = [1, 2, 4, 8, 16, 32, 64];

    public static int Run(string[] args)
    {
        if (Arguments.Parse(args, Help) is not { } arguments)
        {
            return 2;
        }

        var rounds = arguments.Number("--rounds", 100_000, 1_000, 10_000_000);
        var extents = arguments.Number("--extents", 1_000, 0, 100_000);
        var json = arguments.Text("--json", string.Empty);
        arguments.RequireAllRead();
        Console.WriteLine($"One map of 16 pages and its unmap, {extents} extents mapped, {rounds} rounds; load {ResultFile.LoadAverage()}");
        Console.WriteLine("microseconds: median (99th percentile); bytes: managed memory allocated per decision, answers included");
        Console.WriteLine($"{"ranks",6} {"map decided",16} {"with answers",16} {"bytes",7} {"unmap decided",16} {"with answers",16} {"bytes",7}");
        var results = RankCounts.Select(rankCount => Measure(rankCount, extents, rounds)).ToArray();
        ResultFile.Write(json, "decision", new { rounds, extents }, results);
        return 0;
    }

    private static Result Measure(int rankCount, int extentCount, int rounds)
    {
        var rig = new DecisionRig(rankCount, extentCount);
        var (map, unmap) = (new Step<EngineProtocol.PagesAllocated>(), new Step<EngineProtocol.ExtentsFreed>());

        // Long enough for the runtime to compile the hot code at its highest tier.
        for (var i = 0; i < Math.Max(rounds, 60_000); i++)
        {
            map.Run(rig, rig.NextMap(), isMeasured: false);
            unmap.Run(rig, rig.NextUnmap(), isMeasured: false);
        }

        for (var i = 0; i < rounds; i++)
        {
            map.Run(rig, rig.NextMap(), isMeasured: true);
            unmap.Run(rig, rig.NextUnmap(), isMeasured: true);
        }

        var result = new Result(rankCount, map.Read(), unmap.Read());
        Console.WriteLine(
            $"{rankCount,6} {Text(result.Map.Decided),16} {Text(result.Map.Answered),16} {result.Map.AllocatedBytes,7:0} "
            + $"{Text(result.Unmap.Decided),16} {Text(result.Unmap.Answered),16} {result.Unmap.AllocatedBytes,7:0}");
        return result;
    }

    private static string Text(Summary summary) => string.Create(CultureInfo.InvariantCulture, $"{summary.P50:0.00} ({summary.P99:0.00})");

    private sealed record Result(int Ranks, StepResult Map, StepResult Unmap);

    /// <param name="Decided">Microseconds from the request to the commands.</param>
    /// <param name="Answered">The same, and all ranks' answers taken in.</param>
    /// <param name="AllocatedBytes">Managed memory allocated by both.</param>
    private sealed record StepResult(Summary Decided, Summary Answered, double AllocatedBytes);

    private sealed class Step<TAnswer>
    {
        private readonly Samples _decided = new();
        private readonly Samples _answered = new();
        private long _allocatedBytes;

        public void Run(DecisionRig rig, EngineProtocol.IRequest request, bool isMeasured)
        {
            var before = rig.DecisionCount;
            var allocated = GC.GetAllocatedBytesForCurrentThread();
            var start = Stopwatch.GetTimestamp();
            rig.Receive(request);
            var decided = Stopwatch.GetTimestamp() - start;
            allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
            var answers = rig.MakeAnswers();
            allocated -= GC.GetAllocatedBytesForCurrentThread();
            start = Stopwatch.GetTimestamp();
            rig.Take(answers);
            var answered = Stopwatch.GetTimestamp() - start;
            allocated += GC.GetAllocatedBytesForCurrentThread();
            rig.Check<TAnswer>(before);
            if (isMeasured)
            {
                _decided.Add(decided * 1e6 / Stopwatch.Frequency);
                _answered.Add((decided + answered) * 1e6 / Stopwatch.Frequency);
                _allocatedBytes += allocated;
            }
        }

        public StepResult Read() => new(_decided.Summarize(), _answered.Summarize(), (double)_allocatedBytes / Math.Max(1, _decided.Count));
    }
}
