using Kvcached.Core.Units;
using Kvcached.Gpu.DeviceCheck;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Tests.Support;

namespace Kvcached.Gpu.Tests.Contract;

/// <summary>The checks that hold on every backend: on main memory always, on a GPU where there is one.</summary>
public sealed class ContractTests
{
    public static TheoryData<string> Names => [.. Check.All.Select(c => c.Name)];

    [Fact]
    public void Names_AllChecks_AreDistinct() => Assert.Equal(Check.All.Count, Check.All.Select(c => c.Name).Distinct().Count());

    [Theory]
    [MemberData(nameof(Names))]
    public void Host_backend_keeps(string name) => RunOnHost(name, 64 * ByteSize.KiB);

    [Theory]
    [MemberData(nameof(Names))]
    public void Host_backend_with_system_pages_keeps(string name) => RunOnHost(name, Environment.SystemPageSize);

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public void Cuda_backend_keeps(string name)
    {
        var hasGpu = CudaRig.TryCreate(gpu: null, out var rig, out var problem);
        Skip.IfNot(hasGpu, problem?.Text);
        Check.All.Single(c => c.Name == name).Run(rig!);
    }

    private static void RunOnHost(string name, long pageBytes)
    {
        var before = ProcessCounts.Now();
        Check.All.Single(c => c.Name == name).Run(new HostRig(pageBytes));
        Assert.Equal(before, ProcessCounts.Now());
    }
}
