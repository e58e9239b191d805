using Kvcached.Core.Ids;
using Kvcached.Core.Units;

namespace Kvcached.Gpu.HostMemory;

/// <summary>How much main memory is lent in place of a GPU's, and in what pieces.</summary>
public sealed record HostVirtualMemoryOptions
{
    /// <summary>The id under which this host's memory is known; one that starts with <c>HOST-</c>. Default <c>HOST-0</c>.</summary>
    public GpuId Gpu { get; init; } = GpuId.Parse("HOST-0");

    /// <summary>
    /// Bytes after which creating reports out of memory, from one granularity. Default: a quarter of the memory that this
    /// process may use.
    /// </summary>
    public long CapacityBytes { get; init; } = Math.Max(ByteSize.GiB, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4);

    /// <summary>Smallest size and alignment, in bytes: a power of two of at least the system's page. Default 2 MiB, as on a GPU.</summary>
    public long GranularityBytes { get; init; } = 2 * ByteSize.MiB;

    /// <summary>
    /// True to take memory from the system when it is created, as a GPU does, so that too little shows then and not when it is
    /// first written. Slower. Default false.
    /// </summary>
    public bool IsCommitted { get; init; }
}
