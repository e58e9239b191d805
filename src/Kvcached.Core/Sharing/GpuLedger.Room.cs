namespace Kvcached.Core.Sharing;

/// <content>
/// Room: what pools together may hold for now, since others use the device too. Terms of pools (limits, floors, shares) don't follow it, for it comes and
/// goes with strangers; growth does. A floor's memory exists already, so that a pool within its floor has it however little room there is.
/// </content>
public sealed partial class GpuLedger
{
    /// <summary>What pools together may hold for now, in bytes from 0; <see cref="long.MaxValue"/> = nobody else is looked at.</summary>
    public long RoomBytes { get; private set; } = long.MaxValue;

    /// <summary>True when pools hold or are promised more than there is room for: nothing is lent beyond floors.</summary>
    public bool IsDeviceShort => _totals.ClaimedBytes > RoomBytes;

    /// <summary>What pools should give back to make room for others on the device: what they hold above floors, at most what there is too much.</summary>
    public long ExcessBytes => Math.Max(0, _totals.ClaimedBytes - Math.Max(RoomBytes, _totals.FloorBytes));

    /// <summary>Takes note of how much room others leave.</summary>
    /// <param name="roomBytes">From 0; <see cref="long.MaxValue"/> = nobody else is looked at.</param>
    public void SetRoom(long roomBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(roomBytes);
        RoomBytes = roomBytes;
    }

    /// <summary>What of the free memory the pool may have with so little room; the rest of its floor in any case.</summary>
    private long WithinRoom(LedgerAccount account, long freeBytes) => RoomBytes >= LendableBytes
        ? freeBytes
        : Math.Min(freeBytes, Math.Max(account.ClaimedBytes - account.HeldBytes, freeBytes - (LendableBytes - RoomBytes)));
}
