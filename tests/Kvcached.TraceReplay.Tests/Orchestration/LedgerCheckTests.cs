using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Tests.Orchestration;

public sealed class LedgerCheckTests
{
    [Fact]
    public void HeldBytes_RankHoldsMoreThanTheCoordinatorCounts_IsTheRanks()
    {
        var byCoordinator = new GpuLedger("HOST-0", true, 10, 5, 1, null, null, null);
        var byItsHost = byCoordinator with { RankMappedBytes = 20, RankKeptBytes = 3, RankQuarantinedBytes = 2 };

        Assert.Equal(16, LedgerCheck.HeldBytes([byCoordinator]));
        Assert.Equal(25, LedgerCheck.HeldBytes([byCoordinator, byItsHost]));
    }

    [Fact]
    public void IsClean_OnlyWhenNothingIsLeft()
    {
        var clean = new LedgerCheck(7, 0, 0, 0, null);

        Assert.True(clean.IsClean);
        Assert.False((clean with { LeakedPages = 1 }).IsClean);
        Assert.False((clean with { OpenPools = 1 }).IsClean);
        Assert.False((clean with { LeakedDescriptors = 1 }).IsClean);
        Assert.False((clean with { DigestMismatches = 1 }).IsClean);
        Assert.False((clean with { Problem = "?" }).IsClean);
    }
}
