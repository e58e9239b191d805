using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;

namespace Kvcached.Gpu.HostMemory;

/// <summary>Keeps mappings of main memory out of forked children, which would else hold, and could write, what isn't theirs.</summary>
public static class ForkExclusion
{
    /// <summary>Leaves a mapped range out of children that are forked from now on. Does nothing for memory of a GPU, which children don't get.</summary>
    /// <exception cref="VirtualMemoryException">The kernel refuses.</exception>
    public static void Exclude(IVirtualMemory memory, nint address, long byteCount)
    {
        ArgumentNullException.ThrowIfNull(memory);
        if (memory.IsHostAccessible && Libc.madvise(address, (nuint)byteCount, Libc.MADV_DONTFORK) != 0)
        {
            var failure = NativeFailure.Last("madvise(MADV_DONTFORK)");
            throw new VirtualMemoryException(VirtualMemoryOperation.SetAccess, failure.Call, failure.Code, memory.Gpu, byteCount, failure.Detail);
        }
    }
}
