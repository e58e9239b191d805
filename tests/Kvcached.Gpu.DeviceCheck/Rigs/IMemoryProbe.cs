using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.DeviceCheck.Rigs;

/// <summary>Looks at mapped memory from outside, as an engine would, without dying where there is none.</summary>
public interface IMemoryProbe
{
    /// <summary>What may be done at an address now.</summary>
    MemoryAccess AccessOf(nint address);

    void Write(nint address, ReadOnlySpan<byte> bytes);

    byte[] Read(nint address, int byteCount);
}
