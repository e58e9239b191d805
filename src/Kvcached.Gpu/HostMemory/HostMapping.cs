using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.HostMemory;

/// <summary>One sealed file at one address.</summary>
internal sealed record HostMapping(nint Address, SealedMemory Memory) : IRangeMapping
{
    public long ByteCount => Memory.ByteCount;
}
