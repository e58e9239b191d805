using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Fences;

/// <summary>Opens the fences that belong to a memory.</summary>
public static class StreamFences
{
    /// <summary>Fences for work on that memory; the caller's.</summary>
    public static IStreamFences For(IVirtualMemory memory)
    {
        ArgumentNullException.ThrowIfNull(memory);
        return memory.Backend == "cuda" ? CudaFences.Open(memory.Gpu) : ImmediateFences.Instance;
    }
}
