using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Running;
using Kvcached.Core.Ids;

namespace Kvcached.Benchmarks;

/// <summary>The same as <see cref="BlocksRunner"/> by BenchmarkDotNet: slower to run, with error bounds.</summary>
[MemoryDiagnoser]
public class BlockAllocatorBenchmark
{
    private readonly BlockId[] _batch = new BlockId[BlockChurn.BatchBlockCount];
    private BlockChurn? _churn;

    [Params(1_000, 10_000, 100_000, 1_000_000)]
    public int BlockCount { get; set; }

    [GlobalSetup]
    public void Setup() => _churn = new BlockChurn(BlockCount);

    [Benchmark(Baseline = true)]
    public void AllocateAndFree() => _churn!.AllocateAndFree(_batch);

    [Benchmark]
    public void FreeAndAllocate() => _churn!.FreeAndAllocate();

    internal static int Run(string[] args)
    {
        BenchmarkSwitcher.FromTypes([typeof(BlockAllocatorBenchmark)]).Run(args);
        return 0;
    }
}
