using Kvcached.Core.Ids;
using Kvcached.Gpu.Memory;

namespace Kvcached.Client;

/// <summary>Which rank of which pool an engine's worker maps.</summary>
public sealed record KvAttachOptions
{
    /// <summary>Path of the Unix socket of the host of this worker's GPU.</summary>
    public required string SocketPath { get; init; }

    /// <summary>Name of the pool in the domain.</summary>
    public required string PoolName { get; init; }

    /// <summary>Rank of this worker, from 0.</summary>
    public required int Rank { get; init; }

    /// <summary>The GPU that this worker runs on; <c>HOST-n</c> for main memory. Must be that of the host.</summary>
    public required GpuId Device { get; init; }

    /// <summary>What to map with; null opens the driver for <see cref="Device"/>. It stays the caller's, and must outlive the arena.</summary>
    public IVirtualMemory? Memory { get; init; }

    /// <summary>What reading where nothing is mapped gives. Default: a fault.</summary>
    public ArenaGuard Guard { get; init; }

    /// <summary>How long <see cref="KvArena.Attach(KvAttachOptions)"/> waits for the host and for the pool to be opened. Default 60 s.</summary>
    public TimeSpan AttachTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Pause between two attempts. Default 100 ms.</summary>
    public TimeSpan RetryInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>A restarted host may refuse to take this worker back for so long before the pool counts as gone. Default 60 s.</summary>
    public TimeSpan ReattachTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long <see cref="KvArena.Dispose"/> waits for work that may still use the memory. Default 10 s.</summary>
    public TimeSpan DetachTimeout { get; init; } = TimeSpan.FromSeconds(10);
}
