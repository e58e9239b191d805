namespace Kvcached.Host.Management;

/// <summary>What only the host of a GPU knows of it.</summary>
/// <param name="MappedBytes">Mapped for pools.</param>
/// <param name="KeptBytes">Kept for their pools, not mapped.</param>
/// <param name="StockBytes">Created and owned by no pool.</param>
/// <param name="QuarantinedBytes">Given up but not unmapped yet.</param>
/// <param name="HandleCount">Handles of physical memory.</param>
/// <param name="FileDescriptorCount">File descriptors kept for handles.</param>
/// <param name="DeviceUsedBytes">In use on the device by everyone; null without a GPU.</param>
/// <param name="DeviceTotalBytes">What the device has; null without a GPU.</param>
internal sealed record LocalGpuFacts(
    long MappedBytes, long KeptBytes, long StockBytes, long QuarantinedBytes, int HandleCount, int FileDescriptorCount,
    long? DeviceUsedBytes, long? DeviceTotalBytes);
