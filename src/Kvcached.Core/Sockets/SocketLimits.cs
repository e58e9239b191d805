namespace Kvcached.Core.Sockets;

/// <summary>What one packet, and one message, of the engine socket may hold. Both sides check both.</summary>
public static class SocketLimits
{
    /// <summary>The protocol's version that this build speaks, lowest and highest alike.</summary>
    public const int ProtocolVersion = 1;

    /// <summary>Most bytes of a frame, its header included: well within what a socket takes as one packet by default.</summary>
    public const int MaxFrameBytes = 64 * 1024;

    /// <summary>Most body bytes of a frame.</summary>
    public const int MaxFrameBodyBytes = MaxFrameBytes - FrameHeader.ByteCount;

    /// <summary>Most descriptors of a frame: the kernel's limit for one packet.</summary>
    public const int MaxFrameDescriptors = 253;

    /// <summary>Most body bytes of a message: about half a million extents with the memory behind them.</summary>
    public const int MaxMessageBytes = 16 * 1024 * 1024;

    /// <summary>Most descriptors of a message: handles of 2 MiB for half a terabyte, which is more than any GPU has.</summary>
    public const int MaxMessageDescriptors = 1 << 18;

    /// <summary>Most bytes of the file that keeps a pool's tags.</summary>
    public const long MaxTagBytes = 1L << 32;

    /// <summary>True when a message of that size may be sent.</summary>
    public static bool Allows(long bodyBytes, int descriptorCount) =>
        bodyBytes is >= 0 and <= MaxMessageBytes && descriptorCount is >= 0 and <= MaxMessageDescriptors;
}
