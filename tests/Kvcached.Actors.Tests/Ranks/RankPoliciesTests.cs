using Kvcached.Actors.Ranks;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Tests.Ranks;

/// <summary>What a rank keeps of operators' policies on its disk.</summary>
public sealed class RankPoliciesTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-policies-").FullName;

    private string Path => System.IO.Path.Combine(_directory, "policies-a-HOST-0.json");

    private static PoolPolicy Policy { get; } = new("conv", new Epoch(7, 3), 4, MemoryAmount.OfPercent(37.5m), MemoryAmount.OfBytes(4096), 2)
    {
        OnGpus = [new GpuPolicy(TestPools.Gpu(3), MemoryAmount.OfBytes(1 << 20), MemoryAmount.None), new GpuPolicy(TestPools.Gpu(4), MemoryAmount.OfPercent(5), MemoryAmount.OfBytes(512))],
    };

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Save_ReadByTheNextLife_IsAsItWas()
    {
        var policies = new RankPolicies();
        Assert.Null(policies.Keep(File()));
        var other = Policy with { Pool = "other", Limit = MemoryAmount.None, Weight = 0, OnGpus = [] };
        Assert.Equal(string.Empty, policies.Save([Policy, other]));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, System.IO.File.GetUnixFileMode(Path));

        var next = new RankPolicies();
        Assert.Null(next.Keep(File()));
        Assert.Equal([Policy, other], next.All.AsEnumerable());
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[1]")]
    [InlineData("""[{"pool":"a","revision":0}]""")]
    [InlineData("""[{"pool":"a","revision":1,"limit":"much"}]""")]
    [InlineData("""[{"pool":"a","revision":1,"onGpus":[{"limit":"1"}]}]""")]
    [InlineData("""[{"pool":"a","revision":1,"onGpus":[null]}]""")]
    public void Keep_FileThatMakesNoSense_IsSaidAndWrittenAnewLater(string text)
    {
        System.IO.File.WriteAllText(Path, text);
        var policies = new RankPolicies();
        Assert.Contains(Path, policies.Keep(File()), StringComparison.Ordinal);
        Assert.Empty(policies.All);
        Assert.Equal(string.Empty, policies.Save([Policy]));
        Assert.Null(new RankPolicies().Keep(File()));
    }

    [Fact]
    public void Keep_OneEntryOfSeveralMakesNoSense_TheOthersHold()
    {
        var policies = new RankPolicies();
        policies.Keep(File());
        policies.Save([Policy]);
        System.IO.File.WriteAllText(Path, System.IO.File.ReadAllText(Path).TrimEnd().TrimEnd(']') + """, {"pool": "b"}]""");
        Assert.Contains("1 of its 2 entries", policies.Keep(File()), StringComparison.Ordinal);
        Assert.Equal([Policy], policies.All.AsEnumerable());
    }

    [Fact]
    public void Save_DirectoryIsGone_SaysSo()
    {
        var policies = new RankPolicies();
        policies.Keep(new PolicyFile(System.IO.Path.Combine(_directory, "gone", "x")));
        Assert.Contains("can't be written", policies.Save([Policy]), StringComparison.Ordinal);
    }

    [Fact]
    public void FloorOf_PoolWithAPolicy_IsThePolicys()
    {
        var policies = new RankPolicies();
        var spec = TestPools.Spec("conv", TestPools.Gpus(1), floorBytes: 8192);
        Assert.Equal(8192, policies.FloorOf(spec, TestPools.Gpu(0), 1 << 20));
        policies.Take([Policy, Policy with { Revision = 0, Pool = "nonsense" }]);
        Assert.Equal(4096, policies.FloorOf(spec, TestPools.Gpu(0), 1 << 20));
        Assert.Equal(512, policies.FloorOf(spec, TestPools.Gpu(4), 1 << 20));
        Assert.Equal(8192, policies.FloorOf(spec with { Name = "other" }, TestPools.Gpu(0), 1 << 20));
        Assert.Single(policies.All);
    }

    private PolicyFile File() => PolicyFile.In(_directory, "a", TestPools.Gpu(0));
}
