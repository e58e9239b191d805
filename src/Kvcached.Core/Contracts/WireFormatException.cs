namespace Kvcached.Core.Contracts;

/// <summary>
/// Bytes that aren't the message they should be. Thrown only where a caller has no other way to hear of it; readers themselves
/// answer false and keep the fault.
/// </summary>
/// <param name="what">What was being read.</param>
/// <param name="fault">What was wrong.</param>
/// <param name="offsetBytes">Where, in bytes from the start.</param>
/// <param name="lengthBytes">How many bytes there were.</param>
public sealed class WireFormatException(string what, WireFault fault, int offsetBytes, int lengthBytes)
    : Exception($"{what} can't be read: {fault} at byte {offsetBytes} of {lengthBytes}. The sender is of another build, or the bytes were damaged.")
{
    public WireFault Fault => fault;

    public int OffsetBytes => offsetBytes;
}
