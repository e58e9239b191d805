namespace Kvcached.Gpu.Memory;

/// <summary>The calls of <see cref="IVirtualMemory"/> that reach the driver.</summary>
public enum VirtualMemoryOperation
{
    Reserve,
    Free,
    Create,
    Map,
    SetAccess,
    Unmap,
    Release,
    Export,
    Import,
}
