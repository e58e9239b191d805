using Kvcached.Core.Ids;

namespace Kvcached.Gpu.Pools;

/// <summary>What one pool has of the capacity. Guarded by the ledger's lock, but for the two counters of its own.</summary>
internal sealed class PoolAccount(PoolId pool)
{
    private int _handleCount;
    private int _descriptorCount;

    internal PoolId Pool => pool;

    /// <summary>Bytes that nobody else may use, used or not.</summary>
    internal long FloorBytes { get; set; }

    internal long MappedBytes { get; set; }

    /// <summary>Bytes of requests under way, and of memory on its way back to the driver.</summary>
    internal long PendingBytes { get; set; }

    internal long QuarantinedBytes { get; set; }

    /// <summary>Unused memory that this pool wrote to.</summary>
    internal MemoryShelf Kept { get; } = new();

    /// <summary>Memory no longer kept that the worker still has imported: it counts until the worker has let go of it.</summary>
    internal MemoryShelf Wanted { get; } = new();

    /// <summary>Clean memory for the unused part of the floor.</summary>
    internal MemoryShelf Stock { get; } = new();

    /// <summary>Memory that the driver refused to take back.</summary>
    internal List<ExtentMemory> Stuck { get; } = [];

    internal long UsedBytes => MappedBytes + PendingBytes + QuarantinedBytes + IdleBytes;

    /// <summary>Unused bytes that it wrote to, kept or on their way back.</summary>
    internal long IdleBytes => Kept.ByteCount + Wanted.ByteCount;

    /// <summary>What it will take of the capacity once all that is on its way back has come.</summary>
    internal long SettledBytes => Math.Max(FloorBytes, UsedBytes - Wanted.ByteCount);

    internal long CommittedBytes => Math.Max(FloorBytes, UsedBytes);

    /// <summary>What it would take of the capacity if it kept nothing.</summary>
    internal long LeastCommittedBytes => Math.Max(FloorBytes, UsedBytes - IdleBytes);

    internal long UnusedFloorBytes => Math.Max(0, FloorBytes - UsedBytes);

    internal int HandleCount => Volatile.Read(ref _handleCount);

    internal int DescriptorCount => Volatile.Read(ref _descriptorCount);

    internal void CountHandles(int change) => Interlocked.Add(ref _handleCount, change);

    internal void CountDescriptors(int change) => Interlocked.Add(ref _descriptorCount, change);
}
