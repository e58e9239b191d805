namespace Kvcached.Copier.Working;

/// <summary>The one place that turns an address of mapped main memory into a span.</summary>
internal static unsafe class MappedBytes
{
    /// <summary>The caller vouches that the range is mapped, and stays so while the span is used.</summary>
    public static Span<byte> At(nint address, int byteCount) => new((void*)address, byteCount);
}
