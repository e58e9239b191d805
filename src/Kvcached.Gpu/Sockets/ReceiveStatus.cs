namespace Kvcached.Gpu.Sockets;

/// <summary>What came of waiting for a message.</summary>
public enum ReceiveStatus
{
    /// <summary>A message came whole.</summary>
    Message,

    /// <summary>The other side is gone, or this side was shut down.</summary>
    Closed,

    /// <summary>
    /// A message was larger than the buffer, or not all of its descriptors arrived or could be kept; those that did are closed again.
    /// </summary>
    Truncated,

    /// <summary>Nothing is there yet, and the call doesn't wait.</summary>
    Nothing,
}

/// <summary>What came of sending a message without waiting.</summary>
public enum SendStatus
{
    /// <summary>The message is on its way.</summary>
    Sent,

    /// <summary>The socket has no room: try again when it is writable.</summary>
    Full,

    /// <summary>The kernel has no room, for this or for more descriptors on their way: try again a little later; nothing tells when.</summary>
    Busy,

    /// <summary>The other side is gone or can't be sent to.</summary>
    Closed,
}
