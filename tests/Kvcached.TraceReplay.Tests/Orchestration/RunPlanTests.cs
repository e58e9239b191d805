using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Tests.Orchestration;

public sealed class RunPlanTests
{
    private static readonly MachineFacts NoGpu = new(0, 8 * ByteSize.GiB);
    private static readonly MachineFacts TwoGpus = new(2, 8 * ByteSize.GiB);

    [Fact]
    public void Create_Defaults_FitAMachineOf8GiBAndLendLessThanFixedShares()
    {
        var plan = Create(new RunSettings(), NoGpu).Plan!;

        Assert.Equal((2, RunPlan.HostBackend), (plan.HostCount, plan.Backend));
        Assert.Equal([("conv", 2, 4), ("code", 2, 4), ("small", 1, 2)], plan.Engines.Select(e => (e.Name, e.RankCount, e.Model.LayerCount)));
        Assert.True(plan.MemoryBytes < plan.Estimate.StaticBytes);
        Assert.True(plan.MemoryBytes > plan.Estimate.JointPeakBytes);
        Assert.True(plan.MemoryBytes * 2 < 4 * ByteSize.GiB);
    }

    [Fact]
    public void Create_SmallModel_ReplaysAnotherPartOfTheTrace()
    {
        var plan = Create(new RunSettings(), NoGpu).Plan!;

        Assert.Equal(TimeSpan.FromMinutes(29), plan.Engines[2].Offset);
        Assert.NotEqual(plan.Engines[0].Requests[0].ContextTokens, plan.Engines[2].Requests[0].ContextTokens);
    }

    [Fact]
    public void Create_OneHost_SaysThatNothingIsSplit()
    {
        var plan = Create(new RunSettings { Hosts = 1 }, NoGpu).Plan!;

        Assert.All(plan.Engines, engine => Assert.Equal(1, engine.RankCount));
        Assert.Contains(plan.Notes, note => note.Contains("TP=1", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(8)]
    [InlineData(16)]
    public void Create_AnyNumberOfHosts_MakesSoundGeometries(int hosts)
    {
        var plan = Create(new RunSettings { Hosts = hosts, Memory = "64MiB" }, NoGpu).Plan!;

        foreach (var engine in plan.Engines)
        {
            var spec = engine.Model.CreatePool(engine.Name, [.. Enumerable.Range(0, engine.RankCount).Select(i => GpuId.Parse($"HOST-{i}"))], 1L << 40);
            Assert.Null(GeometryRules.FindProblem(spec.Geometry, 2 * ByteSize.MiB));
        }

        Assert.Equal(hosts is 3 or 16 ? 1 : 0, plan.Notes.Count(note => note.Contains("don't divide", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("auto", 2, RunPlan.CudaBackend)]
    [InlineData("cuda", 2, RunPlan.CudaBackend)]
    [InlineData("host", 2, RunPlan.HostBackend)]
    [InlineData("auto", 3, RunPlan.HostBackend)]
    public void Create_Backend_FollowsTheGpusThereAre(string asked, int hosts, string chosen)
    {
        var plan = Create(new RunSettings { Backend = asked, Hosts = hosts }, TwoGpus).Plan!;

        Assert.Equal(chosen, plan.Backend);
    }

    [Fact]
    public void Create_Chaos_RunsOnMainMemoryWithRoomToSpare()
    {
        var plan = Create(new RunSettings { IsChaos = true }, TwoGpus).Plan!;

        Assert.Equal(RunPlan.HostBackend, plan.Backend);
        Assert.True(plan.MemoryBytes > plan.Estimate.StaticBytes);
        Assert.Contains("--backend host", Create(new RunSettings { IsChaos = true, Backend = "cuda" }, TwoGpus).Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Create_TooFewGpus_IsRefusedWithAWayOut()
    {
        var problem = Create(new RunSettings { Backend = "cuda", Hosts = 3 }, TwoGpus).Problem;

        Assert.Contains("--hosts 2 or --backend host", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Create_MoreThanTheMachineHas_IsRefused() =>
        Assert.Contains("available", Create(new RunSettings { Memory = "5GiB" }, NoGpu).Problem, StringComparison.Ordinal);

    [Fact]
    public void Create_MissingTrace_IsRefused() =>
        Assert.Contains("/nowhere/code.csv", Create(new RunSettings { CodeTrace = "/nowhere/code.csv" }, NoGpu).Problem, StringComparison.Ordinal);

    private static RunPlanResult Create(RunSettings settings, MachineFacts machine) => RunPlan.Create(settings, machine, AppContext.BaseDirectory);
}
