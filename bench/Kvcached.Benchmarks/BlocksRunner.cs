using System.Diagnostics;
using System.Globalization;
using Kvcached.Benchmarks.Measuring;
using Kvcached.Core.Ids;

namespace Kvcached.Benchmarks;

/// <summary>Quick figures of the block allocator: nanoseconds and allocated bytes per 16 blocks allocated and freed.</summary>
internal static class BlocksRunner
{
    private const int RoundCount = 9;

    private const string Help = """
        blocks: the block allocator, 1000 to 1000000 blocks: nanoseconds to allocate and free 16 of them.
          --operations N  of each round, 1000 to 100000000 (default 200000)
          --json FILE     write the figures there
        """;

    public static int Run(string[] args)
    {
        if (Arguments.Parse(args, Help) is not { } arguments)
        {
            return 2;
        }

        var operations = arguments.Number("--operations", 200_000, 1_000, 100_000_000);
        var json = arguments.Text("--json", string.Empty);
        arguments.RequireAllRead();
        var results = new List<object>();
        Console.WriteLine("Allocating and freeing 16 blocks; ns: median (best, worst) of 9 rounds; bytes: managed memory allocated per operation");
        Console.WriteLine($"{"blocks",10} {"same blocks, ns",28} {"churn at 90 % use, ns",28} {"bytes",8}");
        foreach (var blockCount in new[] { 1_000, 10_000, 100_000, 1_000_000 })
        {
            var churn = new BlockChurn(blockCount);
            var batch = new BlockId[BlockChurn.BatchBlockCount];
            var same = Measure(operations, () => churn.AllocateAndFree(batch), out var sameBytes);
            var mixed = Measure(operations, churn.FreeAndAllocate, out var mixedBytes);
            Console.WriteLine($"{blockCount,10} {Text(same),28} {Text(mixed),28} {Math.Max(sameBytes, mixedBytes),8:0.###}");
            results.Add(new { blockCount, sameNanoseconds = same, churnNanoseconds = mixed, bytes = Math.Max(sameBytes, mixedBytes) });
        }

        ResultFile.Write(json, "blocks", new { operations }, results);
        return 0;
    }

    private static Summary Measure(int operations, Action operation, out double bytesPerOperation)
    {
        // Long enough for the runtime to compile the hot code at its highest tier.
        for (var i = 0; i < operations; i++)
        {
            operation();
        }

        var rounds = new Samples();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var round = 0; round < RoundCount; round++)
        {
            var start = Stopwatch.GetTimestamp();
            for (var i = 0; i < operations; i++)
            {
                operation();
            }

            rounds.Add(Stopwatch.GetElapsedTime(start).TotalNanoseconds / operations);
        }

        bytesPerOperation = (double)(GC.GetAllocatedBytesForCurrentThread() - before) / operations / RoundCount;
        return rounds.Summarize();
    }

    private static string Text(Summary summary) =>
        string.Create(CultureInfo.InvariantCulture, $"{summary.P50:0} ({summary.Smallest:0}, {summary.Largest:0})");
}
