using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Core.Tests.Sharing;

/// <summary>Others use the device too.</summary>
public sealed class GpuLedgerRoomTests
{
    private static readonly PoolId A = new(1);
    private static readonly PoolId B = new(2);

    private readonly GpuLedger _ledger = new(GpuId.Parse("GPU-a"), capacityBytes: 100, headroomBytes: 0);

    public GpuLedgerRoomTests()
    {
        Assert.True(_ledger.TryAdmit(A, 100, 20, 1, out _));
        Assert.True(_ledger.TryAdmit(B, 100, 10, 1, out _));
    }

    [Fact]
    public void TryReserve_NoRoomLeft_RefusedAsDeviceShort()
    {
        _ledger.SetRoom(50);
        Assert.Equal((40, 30), (_ledger.AvailableBytes(A), _ledger.AvailableBytes(B)));
        Assert.False(_ledger.TryReserve(A, 41, out var refusal));
        Assert.Equal((LedgerRefusalReason.DeviceShort, 40), (refusal.Reason, refusal.FreeBytes));
        Assert.True(_ledger.TryReserve(A, 40, out _));
        Assert.False(_ledger.IsDeviceShort);
    }

    [Fact]
    public void TryReserve_WithinTheFloor_GoesThroughHoweverLittleRoomThereIs()
    {
        _ledger.SetRoom(0);
        Assert.True(_ledger.IsDeviceShort);
        Assert.False(_ledger.TryReserve(A, 21, out var refusal));
        Assert.Equal((LedgerRefusalReason.DeviceShort, 20), (refusal.Reason, refusal.FreeBytes));
        Assert.True(_ledger.TryReserve(A, 20, out _));
        Assert.Equal(0, _ledger.ExcessBytes);
    }

    [Fact]
    public void ExcessBytes_MoreHeldThanRoom_IsWhatIsAboveFloors()
    {
        Assert.True(_ledger.TryReserve(A, 60, out _));
        _ledger.SetRoom(40);
        Assert.Equal((true, 30, 0), (_ledger.IsDeviceShort, _ledger.ExcessBytes, _ledger.UnheldBytes));
        _ledger.SetRoom(10);
        Assert.Equal(40, _ledger.ExcessBytes);
        _ledger.SetRoom(long.MaxValue);
        Assert.Equal((false, 0, 40), (_ledger.IsDeviceShort, _ledger.ExcessBytes, _ledger.UnheldBytes));
    }

    [Fact]
    public void TryChange_FloorThatThereIsNoRoomFor_Refused_AndLoweringOneNot()
    {
        _ledger.SetRoom(40);
        Assert.False(_ledger.TryChange(A, 100, 31, 1, out var refusal));
        Assert.Equal(LedgerRefusalReason.DeviceShort, refusal.Reason);
        Assert.True(_ledger.TryChange(A, 100, 30, 1, out _));
        _ledger.SetRoom(0);
        Assert.True(_ledger.TryChange(A, 100, 5, 1, out _));
    }

    [Fact]
    public void GiveWayPlan_SharesOut_InProportionToWhatIsAboveFloors()
    {
        Assert.True(_ledger.TryReserve(A, 60, out _) && _ledger.TryCommit(A, 60, out _));
        Assert.True(_ledger.TryReserve(B, 30, out _) && _ledger.TryCommit(B, 30, out _));
        var plan = GiveWayPlan.Choose(30, [new(A, 0), new(B, 0), new(new PoolId(9), 0)], _ledger);
        Assert.Equal([new ShrinkShare(A, 20), new ShrinkShare(B, 10)], plan.ToArray());

        // What is leaving anyway isn't asked for again, and nobody goes below a floor.
        plan = GiveWayPlan.Choose(1000, [new(A, 35), new(B, 0)], _ledger);
        Assert.Equal([new ShrinkShare(B, 20), new ShrinkShare(A, 5)], plan.ToArray());
        Assert.Empty(GiveWayPlan.Choose(0, [new(A, 0)], _ledger));
    }
}
