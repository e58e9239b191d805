using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Gpu.Pools;

public sealed partial class RankPool
{
    internal bool IsClosing => _isClosing;

    /// <summary>Releases what was kept above the floor for longer than allowed; returns the bytes.</summary>
    internal long TrimKept()
    {
        var toRelease = new List<ExtentMemory>();
        lock (_ledger.Gate)
        {
            // What is kept within the floor stays: releasing it would leave the floor without memory behind it.
            while (Account.Kept.Oldest is { } oldest && Account.UsedBytes - Account.Wanted.ByteCount - PendingBytesOf(toRelease) - oldest.HeldBytes >= Account.FloorBytes
                && _time.GetElapsedTime(oldest.ShelvedAt) >= _options.KeptDecay)
            {
                Dismiss(Account.Kept.Take(oldest), toRelease);
            }
        }

        return _store.ReleasePending(toRelease, out _);
    }

    /// <summary>
    /// Sets memory aside on the books, and makes room for it. False with the failure, or with none when others leave too little, and
    /// the floor as it was.
    /// </summary>
    internal bool TryReserveFloor(long floorBytes, out DriverFailure? failure)
    {
        failure = null;
        lock (_operations)
        {
            long before;
            List<ExtentMemory> toRelease;
            lock (_ledger.Gate)
            {
                before = Account.FloorBytes;
                if (floorBytes > _ledger.LargestUse(Account))
                {
                    return false;
                }

                Account.FloorBytes = floorBytes;
                toRelease = _ledger.ReclaimUntilFits();
                toRelease.AddRange(CapacityLedger.TakeExcessStock(Account));
            }

            failure = MakeRoom(toRelease);
            if (failure is not null)
            {
                lock (_ledger.Gate)
                {
                    Account.FloorBytes = before;
                }
            }

            return failure is null;
        }
    }

    /// <summary>Creates clean memory for the part of the floor that has none behind it; returns the bytes.</summary>
    internal long RefillFloor(out DriverFailure? failure, out bool isDeviceShort)
    {
        failure = null;
        isDeviceShort = false;
        var createdBytes = 0L;
        lock (_operations)
        {
            foreach (var (group, order) in FloorShapes())
            {
                var memory = _isClosing ? null : _store.TryCreate(Account, Layout, new Extent(group, new PageId(0), order, 1), out failure);
                if (memory is null)
                {
                    isDeviceShort = failure is null && !_isClosing;
                    break;
                }

                createdBytes += memory.HeldBytes;
                lock (_ledger.Gate)
                {
                    Account.Stock.Add(memory, _time.GetTimestamp());
                }
            }
        }

        return createdBytes;
    }

    /// <summary>Gives everything back that the driver takes; null when nothing is left.</summary>
    internal CloseResult.Incomplete? Close(out long releasedBytes)
    {
        lock (_operations)
        {
            ImmutableArray<Extent> extents;
            var toRelease = new List<ExtentMemory>();
            lock (_ledger.Gate)
            {
                _isClosing = true;
                extents = [.. _mapped.Keys, .. _quarantined.Keys];
                releasedBytes = HeldBytesUnderGate;
                Account.QuarantinedBytes -= Account.Stuck.Sum(m => m.HeldBytes);
                Account.FloorBytes = 0;
                foreach (var memory in (List<ExtentMemory>)[.. Account.Kept.TakeAll(), .. Account.Wanted.TakeAll(), .. Account.Stock.TakeAll(), .. Account.Stuck])
                {
                    // Its worker is gone, or goes with this process.
                    memory.IsImported = false;
                    Dismiss(memory, toRelease);
                }

                Account.Stuck.Clear();
            }

            _store.ReleasePending(toRelease, out var failure);
            var unmapped = UnmapAll(extents.AsSpan(), keep: false);
            if (unmapped.Quarantined.IsEmpty && _arena is { } arena)
            {
                failure = DriverFailure.Of(() => _store.Memory.Free(arena)) ?? failure;
                _arena = failure is null || arena.IsClosed ? null : arena;
            }

            lock (_ledger.Gate)
            {
                var remaining = HeldBytesUnderGate;
                releasedBytes -= remaining;
                if (remaining == 0 && _arena is null)
                {
                    return null;
                }

                var text = failure?.Text ?? (unmapped.Quarantined.IsEmpty ? Account.Stuck.Count + " pieces of memory were not taken back." : unmapped.Quarantined[0].Text);
                return new CloseResult.Incomplete(unmapped.Quarantined, remaining, text);
            }
        }
    }

    private static long PendingBytesOf(List<ExtentMemory> memories) => memories.Sum(m => m.HeldBytes);

    /// <summary>
    /// The shapes of extents that fill the part of the floor without memory: every group gets a share by its size, in extents of the
    /// configured length, and what is over goes to the first groups that it suffices for.
    /// </summary>
    private List<(int Group, byte Order)> FloorShapes()
    {
        long missing;
        lock (_ledger.Gate)
        {
            missing = Account.UnusedFloorBytes - Account.Stock.ByteCount;
        }

        var shapes = new List<(int, byte)>();
        var floorBytes = missing;
        var largest = int.Log2(_options.FloorExtentPageCount);
        foreach (var isRest in (ReadOnlySpan<bool>)[false, true])
        {
            for (var group = 0; group < Layout.GroupCount; group++)
            {
                var perPage = Layout.ShapeOf(group).BytesPerPageId;
                var pageLimit = Geometry.VirtualPageCounts[group];
                var share = isRest ? missing : (long)((Int128)floorBytes * perPage * pageLimit / Layout.ByteCount);
                for (var order = (byte)Math.Min(largest, int.Log2(pageLimit)); share >= perPage && missing >= perPage;)
                {
                    var bytes = perPage << order;
                    if (bytes > share || bytes > missing)
                    {
                        order--;
                        continue;
                    }

                    shapes.Add((group, order));
                    share -= bytes;
                    missing -= bytes;
                }
            }
        }

        return shapes;
    }
}
