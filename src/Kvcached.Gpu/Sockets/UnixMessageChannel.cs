using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Sockets;

/// <summary>
/// Sends and receives messages with file descriptors over a sequenced-packet Unix socket, where a message arrives as it was sent or
/// not at all. <c>Send</c> and <c>Receive</c> block, so use them from dedicated threads: one that sends, one that receives;
/// <see cref="TrySend"/> and <see cref="TryReceive"/> never wait.
/// </summary>
public sealed unsafe partial class UnixMessageChannel : IDisposable
{
    /// <summary>Most descriptors of one message: the kernel's limit.</summary>
    public const int MaxDescriptors = 253;

    private const int ControlBytes = SocketNative.ControlHeaderBytes + (((MaxDescriptors * sizeof(int)) + 7) / 8 * 8);

    private readonly SafeFileHandle _socket;

    private UnixMessageChannel(SafeFileHandle socket) => _socket = socket;

    /// <summary>Takes over a connected socket, which becomes blocking.</summary>
    /// <exception cref="IOException">The descriptor isn't open.</exception>
    public static UnixMessageChannel Adopt(SafeFileHandle socket)
    {
        var descriptor = (int)socket.DangerousGetHandle();
        var flags = SocketNative.FileControl(descriptor, SocketNative.GetFlags, 0);
        if (flags < 0 || SocketNative.FileControl(descriptor, SocketNative.SetFlags, flags & ~SocketNative.NonBlocking) < 0)
        {
            throw Failure($"File descriptor {descriptor} can't be used as a socket");
        }

        return new UnixMessageChannel(socket);
    }

    /// <summary>Two channels that are connected with each other; neither is inherited by child processes.</summary>
    public static (UnixMessageChannel Left, UnixMessageChannel Right) CreatePair()
    {
        var pair = stackalloc int[2];
        if (SocketNative.SocketPair(SocketNative.AddressFamilyUnix, SocketNative.SequencedPacket | SocketNative.CloseOnExec, 0, pair) != 0)
        {
            throw Failure("No pair of sockets could be made");
        }

        return (
            new UnixMessageChannel(new SafeFileHandle(pair[0], ownsHandle: true)),
            new UnixMessageChannel(new SafeFileHandle(pair[1], ownsHandle: true)));
    }

    /// <summary>
    /// True when received descriptors are moved above <see cref="FileDescriptors.HighestSelectable"/>, as processes need that still use <c>select</c>.
    /// </summary>
    public bool RaisesDescriptors { get; init; }

    /// <summary>The socket; stays owned by the channel.</summary>
    public SafeFileHandle Socket => _socket;

    /// <summary>Another descriptor of the same socket, closed in child processes; it is the caller's.</summary>
    /// <exception cref="IOException">No more descriptors can be opened.</exception>
    public static SafeFileHandle Duplicate(SafeHandle socket)
    {
        var taken = false;
        try
        {
            socket.DangerousAddRef(ref taken);
            var copy = SocketNative.FileControl((int)socket.DangerousGetHandle(), SocketNative.DuplicateCloseOnExec, 0);
            return copy < 0 ? throw Failure("A descriptor could not be duplicated") : new SafeFileHandle(copy, ownsHandle: true);
        }
        finally
        {
            if (taken)
            {
                socket.DangerousRelease();
            }
        }
    }

    /// <summary>How long <see cref="Receive(Span{byte}, out int, List{SafeFileHandle})"/> looks for a message before it sleeps.</summary>
    public TimeSpan Spin { get; set; } = BusyWait.Default;

    /// <summary>Sends one message. Returns false when the other side is gone or can't be sent to.</summary>
    /// <param name="bytes">At least one byte.</param>
    /// <param name="descriptors">At most <see cref="MaxDescriptors"/>; they stay the caller's.</param>
    public bool Send(ReadOnlySpan<byte> bytes, ReadOnlySpan<SafeFileHandle> descriptors) => Send(bytes, descriptors, 0) == SendStatus.Sent;

    /// <summary>Like <see cref="Send(ReadOnlySpan{byte}, ReadOnlySpan{SafeFileHandle})"/>, but doesn't wait for room.</summary>
    public SendStatus TrySend(ReadOnlySpan<byte> bytes, ReadOnlySpan<SafeFileHandle> descriptors) => Send(bytes, descriptors, SocketNative.DontWait);

    private SendStatus Send(ReadOnlySpan<byte> bytes, ReadOnlySpan<SafeFileHandle> descriptors, int flags)
    {
        ArgumentOutOfRangeException.ThrowIfZero(bytes.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MaxDescriptors);
        var control = stackalloc byte[ControlBytes];
        new Span<byte>(control, ControlBytes).Clear();
        Span<bool> taken = stackalloc bool[MaxDescriptors + 1];
        taken.Clear();
        try
        {
            _socket.DangerousAddRef(ref taken[MaxDescriptors]);
            var numbers = (int*)(control + SocketNative.ControlHeaderBytes);
            for (var i = 0; i < descriptors.Length; i++)
            {
                descriptors[i].DangerousAddRef(ref taken[i]);
                numbers[i] = (int)descriptors[i].DangerousGetHandle();
            }

            return Send(bytes, control, descriptors.Length, flags);
        }
        catch (ObjectDisposedException)
        {
            return SendStatus.Closed;
        }
        finally
        {
            for (var i = 0; i < descriptors.Length; i++)
            {
                if (taken[i])
                {
                    descriptors[i].DangerousRelease();
                }
            }

            if (taken[MaxDescriptors])
            {
                _socket.DangerousRelease();
            }
        }
    }

    /// <summary>Waits for a message.</summary>
    /// <param name="buffer">Where its bytes go.</param>
    /// <param name="length">How many bytes came.</param>
    /// <param name="descriptors">The descriptors that came with it are added; they are the caller's then.</param>
    public ReceiveStatus Receive(Span<byte> buffer, out int length, List<SafeFileHandle> descriptors)
    {
        var start = Stopwatch.GetTimestamp();
        while (BusyWait.GoesOn(start, Spin))
        {
            var status = TryReceive(buffer, out length, descriptors);
            if (status != ReceiveStatus.Nothing)
            {
                return status;
            }
        }

        return Receive(buffer, out length, descriptors, 0);
    }

    /// <summary>Like <see cref="Receive(Span{byte}, out int, List{SafeFileHandle})"/>, but doesn't wait for a message.</summary>
    public ReceiveStatus TryReceive(Span<byte> buffer, out int length, List<SafeFileHandle> descriptors) =>
        Receive(buffer, out length, descriptors, SocketNative.DontWait);

    private ReceiveStatus Receive(Span<byte> buffer, out int length, List<SafeFileHandle> descriptors, int flags)
    {
        length = 0;
        var taken = false;
        try
        {
            _socket.DangerousAddRef(ref taken);
            return Receive((int)_socket.DangerousGetHandle(), buffer, out length, descriptors, flags);
        }
        catch (ObjectDisposedException)
        {
            return ReceiveStatus.Closed;
        }
        finally
        {
            if (taken)
            {
                _socket.DangerousRelease();
            }
        }
    }

    /// <summary>Ends the conversation: both sides' waiting calls return.</summary>
    public void Shutdown()
    {
        var taken = false;
        try
        {
            _socket.DangerousAddRef(ref taken);
            _ = SocketNative.Shutdown((int)_socket.DangerousGetHandle(), SocketNative.ShutdownBoth);
        }
        catch (ObjectDisposedException)
        {
            // Closed already, which ends it as well.
        }
        finally
        {
            if (taken)
            {
                _socket.DangerousRelease();
            }
        }
    }

    public void Dispose()
    {
        Shutdown();
        _socket.Dispose();
    }

    /// <summary>
    /// Like <see cref="Dispose"/>, but the other side gets what was sent to it before: what is unread when a socket is closed makes the kernel report a
    /// reset there first.
    /// </summary>
    public void DisposeGently()
    {
        // Nothing can come any more, so that this ends.
        Shutdown();
        var unread = new List<SafeFileHandle>();
        Span<byte> buffer = stackalloc byte[1];
        while (TryReceive(buffer, out _, unread) is ReceiveStatus.Message or ReceiveStatus.Truncated)
        {
            unread.ForEach(descriptor => descriptor.Dispose());
            unread.Clear();
        }

        _socket.Dispose();
    }

    private SendStatus Send(ReadOnlySpan<byte> bytes, byte* control, int descriptorCount, int flags)
    {
        fixed (byte* start = bytes)
        {
            var buffer = new SocketNative.Buffer { Start = start, ByteCount = (nuint)bytes.Length };
            var message = new SocketNative.MessageHeader { Buffers = &buffer, BufferCount = 1 };
            if (descriptorCount > 0)
            {
                var dataBytes = descriptorCount * sizeof(int);
                *(SocketNative.ControlHeader*)control = new SocketNative.ControlHeader
                {
                    Length = (nuint)(SocketNative.ControlHeaderBytes + dataBytes),
                    Level = SocketNative.SocketLevel,
                    Type = SocketNative.PassRights,
                };
                message.Control = control;
                message.ControlLength = (nuint)(SocketNative.ControlHeaderBytes + ((dataBytes + 7) / 8 * 8));
            }

            nint sent;
            do
            {
                sent = SocketNative.SendMessage((int)_socket.DangerousGetHandle(), message, SocketNative.NoSignal | flags);
            }
            while (sent < 0 && Marshal.GetLastPInvokeError() == SocketNative.InterruptedCall);

            return sent == bytes.Length ? SendStatus.Sent : sent >= 0 ? SendStatus.Closed : Marshal.GetLastPInvokeError() switch
            {
                SocketNative.TryAgain => SendStatus.Full,
                SocketNative.TooManyReferences or SocketNative.NoBufferSpace or SocketNative.OutOfMemory => SendStatus.Busy,
                _ => SendStatus.Closed,
            };
        }
    }

    private ReceiveStatus Receive(int socket, Span<byte> buffer, out int length, List<SafeFileHandle> descriptors, int flags)
    {
        var control = stackalloc byte[ControlBytes];
        fixed (byte* start = buffer)
        {
            var vector = new SocketNative.Buffer { Start = start, ByteCount = (nuint)buffer.Length };
            var message = new SocketNative.MessageHeader { Buffers = &vector, BufferCount = 1 };
            nint received;
            do
            {
                message.Control = control;
                message.ControlLength = ControlBytes;
                message.Flags = 0;
                received = SocketNative.ReceiveMessage(socket, ref message, SocketNative.ReceivedCloseOnExec | flags);
            }
            while (received < 0 && Marshal.GetLastPInvokeError() == SocketNative.InterruptedCall);

            length = (int)Math.Max(0, received);
            if (received < 0)
            {
                return Marshal.GetLastPInvokeError() == SocketNative.TryAgain && flags != 0 ? ReceiveStatus.Nothing : ReceiveStatus.Closed;
            }

            // A message without bytes looks like the end, but can bring descriptors as any other.
            var before = descriptors.Count;
            TakeDescriptors(control, (long)message.ControlLength, descriptors);
            if (received > 0 && (message.Flags & (SocketNative.ControlTruncated | SocketNative.Truncated)) == 0 && TryRaise(descriptors, before))
            {
                return ReceiveStatus.Message;
            }

            for (var i = before; i < descriptors.Count; i++)
            {
                descriptors[i].Dispose();
            }

            descriptors.RemoveRange(before, descriptors.Count - before);
            return received == 0 ? ReceiveStatus.Closed : ReceiveStatus.Truncated;
        }
    }

    private bool TryRaise(List<SafeFileHandle> descriptors, int from)
    {
        for (var i = from; RaisesDescriptors && i < descriptors.Count; i++)
        {
            var isMoved = FileDescriptors.TryMoveHigh(descriptors[i], out var moved, out _);
            descriptors[i] = moved;
            if (!isMoved)
            {
                return false;
            }
        }

        return true;
    }

    private static void TakeDescriptors(byte* control, long controlLength, List<SafeFileHandle> descriptors)
    {
        for (long at = 0; at + SocketNative.ControlHeaderBytes <= controlLength;)
        {
            var header = (SocketNative.ControlHeader*)(control + at);
            var dataBytes = (long)header->Length - SocketNative.ControlHeaderBytes;
            if (dataBytes < 0 || at + (long)header->Length > controlLength)
            {
                return;
            }

            if (header->Level == SocketNative.SocketLevel && header->Type == SocketNative.PassRights)
            {
                var numbers = (int*)(control + at + SocketNative.ControlHeaderBytes);
                for (var i = 0; i < dataBytes / sizeof(int); i++)
                {
                    descriptors.Add(new SafeFileHandle(numbers[i], ownsHandle: true));
                }
            }

            at += ((long)header->Length + 7) / 8 * 8;
        }
    }

    private static IOException Failure(string what)
    {
        var error = Marshal.GetLastPInvokeError();
        return new IOException($"{what}: {Marshal.GetPInvokeErrorMessage(error)} (errno {error}).", new Win32Exception(error));
    }
}
