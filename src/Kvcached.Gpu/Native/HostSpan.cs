namespace Kvcached.Gpu.Native;

/// <summary>The one place that turns an address of mapped main memory into a span.</summary>
internal static unsafe class HostSpan
{
    /// <summary>The caller vouches that the range is mapped, and stays so while the span is used.</summary>
    internal static Span<byte> At(nint address, int byteCount) => new((void*)address, byteCount);
}
