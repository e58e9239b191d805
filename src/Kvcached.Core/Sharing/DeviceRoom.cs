namespace Kvcached.Core.Sharing;

/// <summary>
/// Decides, from what a device's driver says, how much of it pools may hold. Gives way at once when others take more; takes room back only when they have
/// used less for a while, since a program that has just freed memory often wants it again. Not thread-safe.
/// </summary>
public sealed class DeviceRoom
{
    private readonly long _headroomBytes;
    private readonly TimeSpan _calm;

    // Readings of late in the order they were taken, each greater than all that came after it: the first is the greatest.
    private readonly LinkedList<(TimeSpan At, long ForeignBytes)> _greatest = [];

    /// <param name="headroomBytes">What is kept free, from 0.</param>
    /// <param name="calm">For how long the greatest use by others counts, from 0.</param>
    public DeviceRoom(long headroomBytes, TimeSpan calm)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(headroomBytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(calm, TimeSpan.Zero);
        (_headroomBytes, _calm) = (headroomBytes, calm);
    }

    /// <summary>Takes a reading in.</summary>
    /// <param name="now">When, on a monotonic clock.</param>
    /// <param name="totalBytes">What the device has.</param>
    /// <param name="usedBytes">What everyone uses of it, pools too.</param>
    /// <param name="ownBytes">What exists for pools; the greater of before and after the reading, so that memory created meanwhile isn't taken for a stranger's.</param>
    public DeviceShare Take(TimeSpan now, long totalBytes, long usedBytes, long ownBytes)
    {
        var foreign = Math.Max(0, usedBytes - ownBytes);
        while (_greatest.Last is { } last && last.Value.ForeignBytes <= foreign)
        {
            _greatest.RemoveLast();
        }

        _greatest.AddLast((now, foreign));
        while (now - _greatest.First!.Value.At > _calm)
        {
            _greatest.RemoveFirst();
        }

        return new DeviceShare(totalBytes, _greatest.First.Value.ForeignBytes, _headroomBytes);
    }
}
