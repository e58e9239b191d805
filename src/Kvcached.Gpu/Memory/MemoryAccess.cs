namespace Kvcached.Gpu.Memory;

/// <summary>What may be done with a mapping. A fresh mapping allows nothing.</summary>
public enum MemoryAccess
{
    None = 0,
    Read = 1,
    ReadWrite = 3,
}
