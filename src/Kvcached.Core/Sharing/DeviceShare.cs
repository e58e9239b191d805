using Kvcached.Core.Units;

namespace Kvcached.Core.Sharing;

/// <summary>How a device is shared with programs that aren't pools: engines' weights and contexts, training, others.</summary>
/// <param name="TotalBytes">What the device has.</param>
/// <param name="ForeignBytes">What others use of it; the greatest of late.</param>
/// <param name="HeadroomBytes">What is kept free besides, for what they may want next.</param>
public sealed record DeviceShare(long TotalBytes, long ForeignBytes, long HeadroomBytes)
{
    /// <summary>What is left to pools, at least 0.</summary>
    public long RoomBytes => Math.Max(0, TotalBytes - ForeignBytes - HeadroomBytes);

    public override string ToString() =>
        $"others use {ByteSize.Format(ForeignBytes)} of the device's {ByteSize.Format(TotalBytes)}, {ByteSize.Format(HeadroomBytes)} is kept free, {ByteSize.Format(RoomBytes)} is left to pools";
}
