using Kvcached.Core.Units;
using Kvcached.TraceReplay.Reporting;
using Kvcached.TraceReplay.Tests.Fakes;
using Kvcached.TraceReplay.Traces;

namespace Kvcached.TraceReplay.Tests.Reporting;

public sealed class DemandEstimateTests
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(25);

    [Fact]
    public void Create_PeaksApart_NeedsLessThanFixedShares()
    {
        // 160 tokens take 10 blocks; the second engine's request comes when the first one's is long over.
        var early = new EngineDemand([new TraceRequest(0, TimeSpan.Zero, 159, 1)], 1000, 5000);
        var late = new EngineDemand([new TraceRequest(0, TimeSpan.FromMinutes(1), 159, 1)], 500, 1000);

        var estimate = DemandEstimate.Create([early, late], Step, 20_000);

        Assert.Equal((10_000L, 15_000L, 12_000L), (estimate.JointPeakBytes, estimate.StaticBytes, estimate.WarmBytes));
    }

    [Fact]
    public void Create_PeaksTogether_NeedsAsMuchAsFixedShares()
    {
        var engine = new EngineDemand(Given.Requests(1, TimeSpan.Zero, 160, 100), 1000, 5000);

        var estimate = DemandEstimate.Create([engine, engine], Step, 20_000);

        Assert.Equal(estimate.StaticBytes, estimate.JointPeakBytes);
    }

    [Theory]
    [InlineData(800, 2000, 1024)]
    [InlineData(1000, 1000, 960)]
    [InlineData(1, 1, 256)]
    public void SuggestedBytes_LeavesRoomButLessThanFixedShares(long jointMiB, long staticMiB, long expectedMiB) =>
        Assert.Equal(expectedMiB * ByteSize.MiB, new DemandEstimate(jointMiB * ByteSize.MiB, staticMiB * ByteSize.MiB, 80 * ByteSize.MiB).SuggestedBytes);
}
