using Kvcached.Core.Ids;
using Kvcached.Gpu.HostMemory;

namespace Kvcached.Gpu.Memory;

/// <summary>Whose memory to lend.</summary>
public enum BackendChoice
{
    /// <summary>A GPU's where there is one; main memory where there is no GPU and none was named.</summary>
    Auto,

    /// <summary>A GPU's.</summary>
    Cuda,

    /// <summary>Main memory.</summary>
    Host,
}

/// <summary>What to open.</summary>
public sealed record VirtualMemoryRequest
{
    public BackendChoice Backend { get; init; } = BackendChoice.Auto;

    /// <summary>The GPU by UUID; null leaves it to <see cref="Index"/>. For main memory, the id to go by.</summary>
    public GpuId? Gpu { get; init; }

    /// <summary>The GPU by its index as <c>nvidia-smi</c> counts, from 0; null means the first that is visible.</summary>
    public int? Index { get; init; }

    /// <summary>How main memory is lent, where it is.</summary>
    public HostVirtualMemoryOptions Host { get; init; } = new();
}
