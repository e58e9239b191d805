using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Sockets;

/// <summary>What came of taking a connection.</summary>
public enum AcceptStatus
{
    /// <summary>A connection was taken.</summary>
    Accepted,

    /// <summary>Nobody waits.</summary>
    Nothing,

    /// <summary>Somebody waits, but this process or system has no descriptor or memory left for it; trying again at once would be in vain.</summary>
    Exhausted,

    /// <summary>The listener is closed.</summary>
    Closed,
}

/// <summary>A sequenced-packet socket at a path that others connect to. No call waits.</summary>
public sealed unsafe class UnixMessageListener : IDisposable
{
    private const int Backlog = 1024;
    private const uint SameUser = uint.MaxValue;

    private readonly SafeFileHandle _socket;

    private UnixMessageListener(SafeFileHandle socket, string path)
    {
        _socket = socket;
        Path = path;
    }

    public string Path { get; }

    /// <summary>Becomes readable when somebody connects; stays owned by the listener.</summary>
    public SafeFileHandle Socket => _socket;

    /// <summary>Listens at a path where nothing is.</summary>
    /// <param name="path">The path, whose directory is there.</param>
    /// <param name="mode">Who may connect, as far as the file says. Nobody can before it is set.</param>
    /// <param name="group">Group that the file gets; null = as it is made.</param>
    /// <param name="listener">The listener.</param>
    /// <param name="problem">Why there is none: a sentence that goes on after the path.</param>
    public static bool TryListen(
        string path, UnixFileMode mode, uint? group, [NotNullWhen(true)] out UnixMessageListener? listener, [NotNullWhen(false)] out string? problem)
    {
        ArgumentNullException.ThrowIfNull(path);
        listener = null;
        Span<byte> address = stackalloc byte[SocketNative.AddressBytes];
        if (!SocketNative.TryMakeAddress(path, address, out var addressBytes))
        {
            problem = $"is longer than the {SocketNative.MaxPathBytes} bytes that the path of a socket may have";
            return false;
        }

        var socket = new SafeFileHandle(
            SocketNative.Open(SocketNative.AddressFamilyUnix, SocketNative.SequencedPacket | SocketNative.CloseOnExec | SocketNative.NonBlocking, 0),
            ownsHandle: true);
        fixed (byte* start = address)
        {
            if (socket.IsInvalid || SocketNative.Bind(socket, start, addressBytes) != 0)
            {
                var error = Marshal.GetLastPInvokeError();
                problem = error == SocketNative.AddressInUse ? "is there already" : $"can't be made: {Marshal.GetPInvokeErrorMessage(error)}";
                socket.Dispose();
                return false;
            }
        }

        // Connecting is refused until it listens, so that nobody slips in before the file says who may.
        if ((group is { } id && SocketNative.ChangeOwner(path, SameUser, id) != 0) || !TrySetMode(path, mode) || SocketNative.Listen(socket, Backlog) != 0)
        {
            problem = $"can't be served: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}";
            socket.Dispose();
            File.Delete(path);
            return false;
        }

        problem = null;
        listener = new UnixMessageListener(socket, path);
        return true;
    }

    /// <summary>Takes the next connection, if somebody waits.</summary>
    public AcceptStatus TryAccept(out UnixMessageChannel? channel)
    {
        channel = null;
        while (true)
        {
            int accepted;
            try
            {
                accepted = SocketNative.Accept(_socket, 0, 0, SocketNative.CloseOnExec);
            }
            catch (ObjectDisposedException)
            {
                return AcceptStatus.Closed;
            }

            if (accepted >= 0)
            {
                channel = UnixMessageChannel.OfAccepted(new SafeFileHandle(accepted, ownsHandle: true));
                return AcceptStatus.Accepted;
            }

            switch (Marshal.GetLastPInvokeError())
            {
                case SocketNative.InterruptedCall or SocketNative.ConnectionAborted:
                    continue;
                case SocketNative.TryAgain:
                    return AcceptStatus.Nothing;
                case SocketNative.TooManyOpen or SocketNative.TooManyInSystem or SocketNative.NoBufferSpace or SocketNative.OutOfMemory:
                    return AcceptStatus.Exhausted;
                default:
                    return AcceptStatus.Closed;
            }
        }
    }

    /// <summary>Stops listening. The file stays, so remove it before, lest another's of the same name be removed.</summary>
    public void Dispose() => _socket.Dispose();

    private static bool TrySetMode(string path, UnixFileMode mode)
    {
        try
        {
            File.SetUnixFileMode(path, mode);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
