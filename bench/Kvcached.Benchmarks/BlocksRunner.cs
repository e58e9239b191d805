using System.Diagnostics;
using System.Globalization;
using Kvcached.Core.Ids;

namespace Kvcached.Benchmarks;

/// <summary>Quick figures of the block allocator: nanoseconds and allocated bytes per 16 blocks allocated and freed.</summary>
internal static class BlocksRunner
{
    private const int RoundCount = 9;

    public static int Run(string[] args)
    {
        var operations = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 200_000;
        Console.WriteLine("Allocating and freeing 16 blocks; ns: median (best, worst) of 9 rounds; bytes: managed memory allocated per operation");
        Console.WriteLine($"{"blocks",10} {"same blocks, ns",28} {"churn at 90 % use, ns",28} {"bytes",8}");
        foreach (var blockCount in new[] { 1_000, 10_000, 100_000, 1_000_000 })
        {
            var churn = new BlockChurn(blockCount);
            var batch = new BlockId[BlockChurn.BatchBlockCount];
            var same = Measure(operations, () => churn.AllocateAndFree(batch), out var sameBytes);
            var mixed = Measure(operations, churn.FreeAndAllocate, out var mixedBytes);
            Console.WriteLine($"{blockCount,10} {same,28} {mixed,28} {Math.Max(sameBytes, mixedBytes),8:0.###}");
        }

        return 0;
    }

    private static string Measure(int operations, Action operation, out double bytesPerOperation)
    {
        // Long enough for the runtime to compile the hot code at its highest tier.
        for (var i = 0; i < operations; i++)
        {
            operation();
        }

        var rounds = new double[RoundCount];
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var round = 0; round < RoundCount; round++)
        {
            var start = Stopwatch.GetTimestamp();
            for (var i = 0; i < operations; i++)
            {
                operation();
            }

            rounds[round] = Stopwatch.GetElapsedTime(start).TotalNanoseconds / operations;
        }

        bytesPerOperation = (double)(GC.GetAllocatedBytesForCurrentThread() - before) / operations / RoundCount;
        Array.Sort(rounds);
        return string.Create(CultureInfo.InvariantCulture, $"{rounds[RoundCount / 2]:0} ({rounds[0]:0}, {rounds[^1]:0})");
    }
}
