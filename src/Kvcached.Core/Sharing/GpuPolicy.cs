using Kvcached.Core.Ids;

namespace Kvcached.Core.Sharing;

/// <summary>What an operator has laid down for a pool on one GPU, over what is laid down for all of them.</summary>
/// <param name="Gpu">The GPU.</param>
/// <param name="Limit">The limit there; none = as for all GPUs.</param>
/// <param name="Floor">The floor there; none = as for all GPUs.</param>
public sealed record GpuPolicy(GpuId Gpu, MemoryAmount Limit, MemoryAmount Floor);
