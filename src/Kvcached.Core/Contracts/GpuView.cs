namespace Kvcached.Core.Contracts;

/// <summary>One entry of <c>GET /gpus</c>: what the coordinator knows, and, for the GPU of the host that answers, what its ledger says.</summary>
/// <param name="Gpu">The GPU's UUID, or <c>HOST-K</c>.</param>
/// <param name="Incarnation">The life of its host, in hexadecimal.</param>
/// <param name="Address">Cluster address of its host.</param>
/// <param name="DeviceName">For people.</param>
/// <param name="Backend"><c>cuda</c> or <c>host</c>.</param>
/// <param name="IsAvailable">True when it may take part in grants.</param>
/// <param name="CapacityBytes">What it may lend.</param>
/// <param name="UsedBytes">Mapped for pools.</param>
/// <param name="ReservedBytes">Set aside for decisions in flight.</param>
/// <param name="QuarantinedBytes">Given up but not unmapped yet.</param>
/// <param name="FreeBytes">What is left.</param>
/// <param name="RankMappedBytes">Mapped, by the rank's own ledger; null for other hosts' GPUs, as are the next five.</param>
/// <param name="RankKeptBytes">Kept for their pools, not mapped.</param>
/// <param name="RankStockBytes">Created and owned by no pool.</param>
/// <param name="RankQuarantinedBytes">Not unmapped yet.</param>
/// <param name="HandleCount">Handles of physical memory.</param>
/// <param name="FileDescriptorCount">File descriptors kept for handles.</param>
/// <param name="DeviceUsedBytes">In use on the device by everyone, as the driver says; null without a GPU.</param>
/// <param name="DeviceTotalBytes">What the device has; null without a GPU.</param>
public sealed record GpuView(
    string Gpu, string Incarnation, string Address, string DeviceName, string Backend, bool IsAvailable,
    long CapacityBytes, long UsedBytes, long ReservedBytes, long QuarantinedBytes, long FreeBytes,
    long? RankMappedBytes, long? RankKeptBytes, long? RankStockBytes, long? RankQuarantinedBytes,
    int? HandleCount, int? FileDescriptorCount, long? DeviceUsedBytes, long? DeviceTotalBytes)
{
    /// <summary>True while an operator has it drained: nothing new is lent there.</summary>
    public bool IsDraining { get; init; }

    /// <summary>What others use of the device, the greatest of late; null when nobody looks, as are the next two.</summary>
    public long? ForeignBytes { get; init; }

    /// <summary>What is kept free besides.</summary>
    public long? HeadroomBytes { get; init; }

    /// <summary>What is left to pools, floors included.</summary>
    public long? RoomBytes { get; init; }

    /// <summary>True while pools hold or are promised more than that: they are asked to give back, and nothing is lent beyond floors.</summary>
    public bool IsDeviceShort { get; init; }
}
