using CsCheck;

namespace Kvcached.Gpu.Tests.Pools;

/// <summary>Random use of several pools, with a driver that fails now and then, against a model that knows only the rules.</summary>
public sealed class PagePoolModelTests
{
    private static readonly Gen<PagePoolModel.Step[]> Steps =
        Gen.Select(Gen.Int[0, 13], Gen.Int[0, 2], Gen.Int[0, 63], Gen.Int[0, 3], Gen.Bool)
            .Select(t => new PagePoolModel.Step(t.Item1, t.Item2, t.Item3, t.Item4, t.Item5))
            .Array[1, 80];

    [Fact]
    public void PagePool_RandomUse_KeepsTheRules() =>
        Steps.Sample(steps => PagePoolModel.Run(steps, isDriverFailing: false), iter: 250, threads: 1);

    [Fact]
    public void PagePool_RandomUseWithFailures_LosesAndMixesNothing() =>
        Steps.Sample(steps => PagePoolModel.Run(steps, isDriverFailing: true), iter: 250, threads: 1);
}
