namespace Kvcached.Gpu.Copying;

/// <summary>What came of waiting for a message.</summary>
public enum ReceiveStatus
{
    /// <summary>A message came whole.</summary>
    Message,

    /// <summary>The other side is gone, or this side was shut down.</summary>
    Closed,

    /// <summary>A message was larger than the buffer, or not all of its descriptors arrived; those that did are closed again.</summary>
    Truncated,
}
