using Kvcached.Benchmarks;
using Kvcached.Benchmarks.AttachedMaps;
using Kvcached.Benchmarks.CoordinatedMaps;
using Kvcached.Benchmarks.Decisions;
using Kvcached.Benchmarks.Messages;
using Kvcached.Benchmarks.Routers;
using Kvcached.Benchmarks.Scale;

// Each benchmark has a file or a folder of its own; `-- bdn …` hands the rest to BenchmarkDotNet.
var benchmarks = new SortedDictionary<string, Func<string[], Task<int>>>(StringComparer.Ordinal)
{
    ["attached-map"] = args => Task.FromResult(AttachedMapBenchmark.Run(args)),
    ["bdn"] = args => Task.FromResult(BlockAllocatorBenchmark.Run(args)),
    ["blocks"] = args => Task.FromResult(BlocksRunner.Run(args)),
    ["coordinated-map"] = CoordinatedMapBenchmark.RunAsync,
    ["decision"] = args => Task.FromResult(DecisionBenchmark.Run(args)),
    ["scale"] = ScaleBenchmark.RunAsync,
    ["messages"] = args => Task.FromResult(MessagesBenchmark.Run(args)),
    ["router"] = RouterBenchmark.RunAsync,
};

if (args is [RankHostProcess.CommandName, ..])
{
    return await RankHostCommand.RunAsync(args[1..]);
}

if (args is [BareServer.CommandName, ..])
{
    return await BareServer.RunAsync(args[1..]);
}

if (args is [AttachedWorker.CommandName, ..])
{
    return AttachedWorker.Run(args[1..]);
}

if (args.Length == 0 || !benchmarks.TryGetValue(args[0], out var benchmark))
{
    Console.Error.WriteLine($"Name a benchmark: {string.Join(", ", benchmarks.Keys)}. Each says with --help what it takes.");
    return 2;
}

try
{
    return await benchmark(args[1..]);
}
catch (ArgumentException problem)
{
    Console.Error.WriteLine(problem.Message);
    return 2;
}
catch (Exception problem) when (problem is InvalidOperationException or TimeoutException)
{
    Console.Error.WriteLine($"{args[0]}: {problem.Message}");
    return 1;
}
