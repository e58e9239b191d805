using System.Runtime.InteropServices;
using Kvcached.Core.Checking;

namespace Kvcached.Copier.Cuda;

/// <summary>A stamp as the kernels read it; 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct KernelStamp(BlockStamp stamp)
{
    public readonly uint Block = (uint)stamp.Block.Value;
    public readonly uint Version = stamp.Version;
    public readonly uint Whole = stamp.Whole ? 1u : 0u;
    public readonly uint Unused = 0;
}

/// <summary>A layer and buffer as the kernels read it; 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct KernelLane(StampLane lane)
{
    public readonly ulong ArenaOffset = (ulong)lane.ArenaOffset;
    public readonly ulong Stride = (ulong)lane.Stride;
    public readonly ulong Place = ((ulong)(uint)lane.Layer << 32) | (uint)lane.Buffer;
}

/// <summary>What the kernel found of one stamp; 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KernelFinding
{
    /// <summary>Index of the lane of a finding's first word, above the word's own index.</summary>
    private const int LaneShift = 40;

    /// <summary>Words that differ.</summary>
    public ulong Mismatches;

    /// <summary>The first of them: lane index and word index; all ones when there is none.</summary>
    public ulong First;

    /// <summary>A finding as it must be before the kernel runs.</summary>
    public static KernelFinding None => new() { First = ulong.MaxValue };

    public readonly int LaneIndex => (int)(First >> LaneShift);

    public readonly long WordIndex => (long)(First & ((1UL << LaneShift) - 1));
}
