using Kvcached.Core.Decisions;
using Kvcached.Core.Sockets;

namespace Kvcached.Host.Gateway;

/// <summary>What a host answers to a greeting.</summary>
internal static class Handshake
{
    /// <summary>The host's answer.</summary>
    /// <param name="hello">What the engine process said.</param>
    /// <param name="host">What the host says of itself; its version is filled in.</param>
    /// <param name="isProcessKnown">True when the end of the engine's process will be seen.</param>
    public static SocketProtocol.IMessage Answer(SocketProtocol.Hello hello, SocketProtocol.Welcome host, bool isProcessKnown)
    {
        if (hello.LowestVersion > hello.HighestVersion || hello.LowestVersion > SocketLimits.ProtocolVersion || hello.HighestVersion < SocketLimits.ProtocolVersion)
        {
            return new SocketProtocol.Rejected(new Refusal(
                RefusalReason.UnsupportedVersion,
                $"The engine's library ({hello.LibraryVersion}) speaks versions {hello.LowestVersion} to {hello.HighestVersion} of the protocol, this host "
                + $"({host.ServerVersion}) version {SocketLimits.ProtocolVersion}. Use a library and a host that share one."));
        }

        // Memory that a worker may still have mapped can't be given to others before its end is known for certain.
        return hello.Role == EngineRole.Worker && !isProcessKnown
            ? new SocketProtocol.Rejected(new Refusal(
                RefusalReason.NotSupported,
                "This host can't see the worker's process, and no valid process descriptor (pidfd) of it came with Hello. Send one, or share the host's process namespace."))
            : host with { Version = SocketLimits.ProtocolVersion };
    }
}
