using System.Globalization;

namespace Kvcached.Gpu.Memory;

/// <summary>
/// Opaque reference to physical memory, of worth only to the <see cref="IVirtualMemory"/> that gave it. A value, because a GPU
/// has tens of thousands of them; whoever created one releases it.
/// </summary>
public readonly record struct MemoryHandle(ulong Value)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"handle-{Value:x}");
}
