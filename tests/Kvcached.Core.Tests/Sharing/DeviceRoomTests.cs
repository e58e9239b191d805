using CsCheck;
using Kvcached.Core.Sharing;

namespace Kvcached.Core.Tests.Sharing;

public sealed class DeviceRoomTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Fact]
    public void Take_StrangersGrow_RoomFallsAtOnce()
    {
        var room = new DeviceRoom(headroomBytes: 10, calm: 5 * Second);
        Assert.Equal(new DeviceShare(100, 20, 10), room.Take(Second, 100, 50, 30));
        var grown = room.Take(2 * Second, 100, 80, 30);
        Assert.Equal((50, 40), (grown.ForeignBytes, grown.RoomBytes));
    }

    [Fact]
    public void Take_StrangersLeave_RoomRisesAfterACalm()
    {
        var room = new DeviceRoom(10, 5 * Second);
        room.Take(1 * Second, 100, 80, 30);
        Assert.Equal(50, room.Take(2 * Second, 100, 30, 30).ForeignBytes);
        Assert.Equal(50, room.Take(6 * Second, 100, 40, 30).ForeignBytes);
        Assert.Equal(10, room.Take(6.5 * Second, 100, 40, 30).ForeignBytes);
        Assert.Equal(0, room.Take(20 * Second, 100, 30, 30).ForeignBytes);
    }

    [Fact]
    public void Take_OwnMemoryCreatedMeanwhile_IsNobodyElses() =>
        Assert.Equal(new DeviceShare(100, 0, 0), new DeviceRoom(0, TimeSpan.Zero).Take(Second, 100, 30, 40));

    [Fact]
    public void RoomBytes_MoreUsedThanThereIs_IsZero() => Assert.Equal(0, new DeviceShare(100, 95, 10).RoomBytes);

    [Fact]
    public void Take_AnyReadings_TellTheGreatestOfLate() =>
        Gen.Select(Gen.Int[0, 4], Gen.Long[0, 50]).Array[1, 60].Sample(readings =>
        {
            var room = new DeviceRoom(0, 3 * Second);
            var (now, seen) = (TimeSpan.Zero, new List<(TimeSpan At, long Bytes)>());
            foreach (var (pause, foreign) in readings)
            {
                now += pause * Second;
                seen.Add((now, foreign));
                Assert.Equal(seen.Where(reading => now - reading.At <= 3 * Second).Max(reading => reading.Bytes), room.Take(now, 100, foreign, 0).ForeignBytes);
            }
        }, iter: 500);
}
