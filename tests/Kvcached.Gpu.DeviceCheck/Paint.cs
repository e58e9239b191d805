using Kvcached.Core.Paging;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Pools;

namespace Kvcached.Gpu.DeviceCheck;

/// <summary>Marks the first and the last bytes of a piece of memory so that it is recognised again.</summary>
internal static class Paint
{
    private const int StrokeBytes = 256;

    internal static void Put(IMemoryProbe probe, nint address, long byteCount, int seed)
    {
        probe.Write(address, Stroke(seed));
        probe.Write(address + (nint)byteCount - StrokeBytes, Stroke(seed + 1));
    }

    internal static bool IsOn(IMemoryProbe probe, nint address, long byteCount, int seed) =>
        probe.Read(address, StrokeBytes).AsSpan().SequenceEqual(Stroke(seed))
        && probe.Read(address + (nint)byteCount - StrokeBytes, StrokeBytes).AsSpan().SequenceEqual(Stroke(seed + 1));

    internal static bool IsBlank(IMemoryProbe probe, nint address, long byteCount) => !probe.Read(address, (int)byteCount).AsSpan().ContainsAnyExcept((byte)0);

    /// <summary>Marks every mapping unit of an extent differently.</summary>
    internal static void Put(IMemoryProbe probe, RankPool pool, Extent extent, int seed)
    {
        foreach (var unit in pool.Layout.UnitsOf(extent.Group))
        {
            Put(probe, pool.BaseAddress + (nint)unit.OffsetOf(extent), unit.BytesOf(extent), seed + (7 * unit.Index));
        }
    }

    internal static bool IsOn(IMemoryProbe probe, RankPool pool, Extent extent, int seed) =>
        pool.Layout.UnitsOf(extent.Group).All(
            unit => IsOn(probe, pool.BaseAddress + (nint)unit.OffsetOf(extent), unit.BytesOf(extent), seed + (7 * unit.Index)));

    internal static bool IsBlank(IMemoryProbe probe, RankPool pool, Extent extent) =>
        pool.Layout.UnitsOf(extent.Group).All(unit => IsBlank(probe, pool.BaseAddress + (nint)unit.OffsetOf(extent), unit.BytesOf(extent)));

    private static byte[] Stroke(int seed)
    {
        var bytes = new byte[StrokeBytes];
        var word = unchecked((uint)seed * 2654435761u) | 1;
        for (var i = 0; i < bytes.Length; i++)
        {
            word = unchecked((word * 1664525u) + 1013904223u);
            bytes[i] = (byte)(word >> 24);
        }

        return bytes;
    }
}
