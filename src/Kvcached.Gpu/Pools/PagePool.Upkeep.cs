namespace Kvcached.Gpu.Pools;

/// <content>What is done now and then, off the hot path.</content>
public sealed partial class PagePool
{
    /// <summary>Releases kept memory that lay idle too long; to be called now and then. Returns the bytes released.</summary>
    public long TrimKept() => Pools().Sum(p => p.TrimKept());

    /// <summary>Creates what floors lack after their memory was used and released; to be called off the hot path. Returns the bytes created.</summary>
    public long RefillFloors() => Pools().Sum(p => p.RefillFloor(out _, out _));

    /// <summary>
    /// Others use the device too, and leave so much to pools: from now on memory that is only kept, above floors, is released rather than have pools together
    /// hold more. Nothing that is mapped is touched, and nothing refused.
    /// </summary>
    /// <param name="roomBytes">From 0; <see cref="long.MaxValue"/> = as much as the capacity.</param>
    /// <returns>The bytes released at once.</returns>
    public long KeepWithin(long roomBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(roomBytes);
        List<ExtentMemory> taken;
        lock (_ledger.Gate)
        {
            _ledger.RoomBytes = roomBytes;
            taken = _ledger.ReclaimUntilFits();
            foreach (var memory in taken)
            {
                memory.Owner.PendingBytes += memory.HeldBytes;
            }
        }

        return _store.ReleasePending(taken, out _);
    }
}
