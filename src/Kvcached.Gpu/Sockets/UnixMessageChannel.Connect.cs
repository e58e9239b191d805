using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Sockets;

/// <content>Connecting to a path.</content>
public sealed unsafe partial class UnixMessageChannel
{
    /// <summary>Connects to a sequenced-packet socket that somebody serves.</summary>
    /// <param name="path">Path of the socket.</param>
    /// <param name="timeout">How long to wait when whoever serves it has many connections to take first; above zero.</param>
    /// <param name="channel">The connection, close-on-exec; its descriptors will be raised above those that <c>select</c> can handle.</param>
    /// <param name="failure">Why there is none.</param>
    public static bool TryConnect(
        string path, TimeSpan timeout, [NotNullWhen(true)] out UnixMessageChannel? channel, [NotNullWhen(false)] out ConnectFailure? failure)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(timeout, TimeSpan.Zero);
        channel = null;
        Span<byte> address = stackalloc byte[SocketNative.AddressBytes];
        if (!SocketNative.TryMakeAddress(path, address, out var addressBytes))
        {
            failure = new ConnectFailure(
                ConnectFailureReason.BadPath, $"'{path}' can't be the path of a socket: it has 1 to {SocketNative.MaxPathBytes} bytes. Name a shorter one.");
            return false;
        }

        var socket = new SafeFileHandle(
            SocketNative.Open(SocketNative.AddressFamilyUnix, SocketNative.SequencedPacket | SocketNative.CloseOnExec, 0), ownsHandle: true);
        if (!socket.IsInvalid && SetSendTimeout(socket, timeout) && Connect(socket, address, addressBytes) && SetSendTimeout(socket, TimeSpan.Zero))
        {
            failure = null;
            channel = new UnixMessageChannel(socket) { RaisesDescriptors = true };
            return true;
        }

        var error = Marshal.GetLastPInvokeError();
        socket.Dispose();
        failure = Explain(path, error);
        return false;
    }

    /// <summary>A channel over a connection that was accepted.</summary>
    internal static UnixMessageChannel OfAccepted(SafeFileHandle socket) => new(socket) { RaisesDescriptors = true };

    private static bool Connect(SafeFileHandle socket, ReadOnlySpan<byte> address, uint addressBytes)
    {
        fixed (byte* start = address)
        {
            int result;
            do
            {
                result = SocketNative.Connect(socket, start, addressBytes);
            }
            while (result != 0 && Marshal.GetLastPInvokeError() == SocketNative.InterruptedCall);

            return result == 0;
        }
    }

    // The kernel takes it for connecting too.
    private static bool SetSendTimeout(SafeFileHandle socket, TimeSpan timeout)
    {
        var value = new SocketNative.TimeValue
        {
            Seconds = (long)timeout.TotalSeconds,
            Microseconds = timeout == TimeSpan.Zero ? 0 : Math.Max(1, timeout.Ticks % TimeSpan.TicksPerSecond / TimeSpan.TicksPerMicrosecond),
        };
        return SocketNative.SetOption(socket, SocketNative.SocketLevel, SocketNative.OptionSendTimeout, &value, (uint)sizeof(SocketNative.TimeValue)) == 0;
    }

    private static ConnectFailure Explain(string path, int error) => error switch
    {
        SocketNative.NoSuchFile or SocketNative.NotADirectory => new ConnectFailure(
            ConnectFailureReason.NoSuchFile, $"There is no socket '{path}'. Start the host, or name the socket that its ready line says."),
        SocketNative.ConnectionRefused => IsNoSocket(path)
            ? new ConnectFailure(ConnectFailureReason.NotASocket, $"'{path}' is no socket. Name the socket that the host's ready line says.")
            : new ConnectFailure(ConnectFailureReason.Refused, $"Nobody serves the socket '{path}'. The host that did has ended; start it again."),
        SocketNative.AccessDenied or SocketNative.NotPermitted => new ConnectFailure(
            ConnectFailureReason.NoPermission, $"This user may not connect to '{path}'. Have the host started with --socket-group or --allow-uid."),
        SocketNative.WrongProtocolType => new ConnectFailure(
            ConnectFailureReason.NotASocket, $"'{path}' is a socket of another type. Name the socket that the host's ready line says."),
        SocketNative.TryAgain => new ConnectFailure(
            ConnectFailureReason.TimedOut, $"Whoever serves '{path}' didn't take the connection in time. See whether the host hangs."),
        _ => new ConnectFailure(
            ConnectFailureReason.System, $"'{path}' can't be connected to: {Marshal.GetPInvokeErrorMessage(error)} (errno {error})."),
    };

    // A path that isn't a socket is refused just as one that nobody serves.
    private static bool IsNoSocket(string path)
    {
        try
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return true;
        }
        catch (UnauthorizedAccessException)
        {
            // A directory, or a file that can't be read.
            return true;
        }
        catch (IOException)
        {
            // Sockets can't be opened.
            return Directory.Exists(path);
        }
    }
}
