using System.Collections.Immutable;
using Kvcached.Core.Ids;

namespace Kvcached.Gpu.Pools;

/// <summary>The ledger of one GPU at one moment.</summary>
/// <param name="Incarnation">The host process's life.</param>
/// <param name="Gpu">The GPU.</param>
/// <param name="Backend"><c>cuda</c> or <c>host</c>.</param>
/// <param name="CapacityBytes">Bytes that all pools together may hold.</param>
/// <param name="FreeBytes">Bytes that are neither held nor set aside.</param>
/// <param name="ReclaimableBytes">Bytes kept above floors, which the next grant may take.</param>
/// <param name="Pools">The pools by id.</param>
public sealed record PagePoolSnapshot(
    HostIncarnation Incarnation,
    GpuId Gpu,
    string Backend,
    long CapacityBytes,
    long FreeBytes,
    long ReclaimableBytes,
    ImmutableArray<RankPoolSnapshot> Pools)
{
    /// <summary>Physical bytes that exist for pools: mapped, kept, stock and quarantined.</summary>
    public long HeldBytes => Pools.Sum(p => p.MappedBytes + p.KeptBytes + p.StockBytes + p.QuarantinedBytes);

    /// <summary>The same with what is just being created or released: the most that may exist at that moment.</summary>
    public long ExistingBytes => HeldBytes + Pools.Sum(p => p.PendingBytes);
}

/// <summary>One pool's part of the ledger.</summary>
/// <param name="Pool">The pool.</param>
/// <param name="Rank">Which of its ranks is on this GPU.</param>
/// <param name="FloorBytes">Bytes that are always its own.</param>
/// <param name="MappedBytes">Bytes of mapped extents.</param>
/// <param name="KeptBytes">Bytes once mapped, now unused, that only this pool may use again.</param>
/// <param name="StockBytes">Clean bytes created for the unused part of the floor.</param>
/// <param name="QuarantinedBytes">Bytes that could not be taken back, or are held back.</param>
/// <param name="PendingBytes">Bytes of requests under way.</param>
/// <param name="MappedExtentCount">Extents mapped.</param>
/// <param name="QuarantinedExtentCount">Extents whose page ids are blocked.</param>
/// <param name="HandleCount">Memory handles held.</param>
/// <param name="DescriptorCount">File descriptors kept for sharing.</param>
/// <param name="IsClosing">True once closing began.</param>
public sealed record RankPoolSnapshot(
    PoolId Pool,
    int Rank,
    long FloorBytes,
    long MappedBytes,
    long KeptBytes,
    long StockBytes,
    long QuarantinedBytes,
    long PendingBytes,
    int MappedExtentCount,
    int QuarantinedExtentCount,
    int HandleCount,
    int DescriptorCount,
    bool IsClosing);
