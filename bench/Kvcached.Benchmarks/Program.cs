using Kvcached.Benchmarks;

// Each benchmark has a file of its own; `-- bdn …` hands the rest to BenchmarkDotNet.
var benchmarks = new SortedDictionary<string, Func<string[], int>>(StringComparer.Ordinal)
{
    ["bdn"] = BlockAllocatorBenchmark.Run,
    ["blocks"] = BlocksRunner.Run,
};

if (args.Length == 0 || !benchmarks.TryGetValue(args[0], out var benchmark))
{
    Console.Error.WriteLine($"Name a benchmark: {string.Join(", ", benchmarks.Keys)}.");
    return 2;
}

return benchmark(args[1..]);
