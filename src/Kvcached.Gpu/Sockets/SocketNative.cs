using System.Runtime.InteropServices;
using Kvcached.Gpu.Native;

namespace Kvcached.Gpu.Sockets;

/// <summary>The calls of the C library for Unix sockets that pass file descriptors; values are those of 64-bit Linux.</summary>
internal static unsafe partial class SocketNative
{
    public const int AddressFamilyUnix = 1;
    public const int SequencedPacket = 5;
    public const int CloseOnExec = 0x80000;
    public const int NonBlocking = 0x800;

    public const int SocketLevel = 1;
    public const int PassRights = 1;
    public const int OptionPeerCredentials = 17;
    public const int OptionSendTimeout = 21;
    public const int OptionPeerGroups = 59;
    public const int OptionPeerProcess = 77;

    public const int NoSignal = 0x4000;
    public const int DontWait = 0x40;
    public const int ReceivedCloseOnExec = 0x4000_0000;
    public const int ControlTruncated = 0x8;
    public const int Truncated = 0x20;
    public const int ShutdownBoth = 2;

    public const int DuplicateCloseOnExec = 1030;
    public const int GetFlags = 3;
    public const int SetFlags = 4;

    public const int NotPermitted = 1;
    public const int NoSuchFile = 2;
    public const int InterruptedCall = 4;
    public const int TryAgain = 11;
    public const int OutOfMemory = 12;
    public const int AccessDenied = 13;
    public const int NotADirectory = 20;
    public const int TooManyInSystem = 23;
    public const int TooManyOpen = 24;
    public const int RangeError = 34;
    public const int WrongProtocolType = 91;
    public const int AddressInUse = 98;
    public const int ConnectionAborted = 103;
    public const int NoBufferSpace = 105;
    public const int TooManyReferences = 109;
    public const int ConnectionRefused = 111;

    /// <summary>Most bytes of a path in an address; the terminator takes one more.</summary>
    public const int MaxPathBytes = 107;

    /// <summary>Bytes of <see cref="ControlHeader"/>, to which the data after it is aligned.</summary>
    public const int ControlHeaderBytes = 16;

    private const string Library = NativeLibraries.Libc;

    [LibraryImport(Library, EntryPoint = "sendmsg", SetLastError = true)]
    internal static partial nint SendMessage(int socket, in MessageHeader message, int flags);

    [LibraryImport(Library, EntryPoint = "recvmsg", SetLastError = true)]
    internal static partial nint ReceiveMessage(int socket, ref MessageHeader message, int flags);

    [LibraryImport(Library, EntryPoint = "socketpair", SetLastError = true)]
    internal static partial int SocketPair(int domain, int type, int protocol, int* pair);

    [LibraryImport(Library, EntryPoint = "socket", SetLastError = true)]
    internal static partial int Open(int domain, int type, int protocol);

    [LibraryImport(Library, EntryPoint = "bind", SetLastError = true)]
    internal static partial int Bind(SafeHandle socket, byte* address, uint addressBytes);

    [LibraryImport(Library, EntryPoint = "listen", SetLastError = true)]
    internal static partial int Listen(SafeHandle socket, int backlog);

    [LibraryImport(Library, EntryPoint = "accept4", SetLastError = true)]
    internal static partial int Accept(SafeHandle socket, nint address, nint addressBytes, int flags);

    [LibraryImport(Library, EntryPoint = "connect", SetLastError = true)]
    internal static partial int Connect(SafeHandle socket, byte* address, uint addressBytes);

    [LibraryImport(Library, EntryPoint = "getsockopt", SetLastError = true)]
    internal static partial int GetOption(SafeHandle socket, int level, int option, void* value, uint* valueBytes);

    [LibraryImport(Library, EntryPoint = "setsockopt", SetLastError = true)]
    internal static partial int SetOption(SafeHandle socket, int level, int option, void* value, uint valueBytes);

    [LibraryImport(Library, EntryPoint = "shutdown", SetLastError = true)]
    internal static partial int Shutdown(int socket, int how);

    [LibraryImport(Library, EntryPoint = "fcntl", SetLastError = true)]
    internal static partial int FileControl(int descriptor, int command, nint argument);

    [LibraryImport(Library, EntryPoint = "geteuid")]
    internal static partial uint EffectiveUserId();

    [LibraryImport(Library, EntryPoint = "chown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int ChangeOwner(string path, uint user, uint group);

    /// <summary>A socket's address with that path, zero-terminated; false when the path is too long or has a zero in it.</summary>
    internal static bool TryMakeAddress(string path, Span<byte> address, out uint addressBytes)
    {
        addressBytes = 0;
        address.Clear();
        if (path.Length == 0 || path.Contains('\0', StringComparison.Ordinal) || System.Text.Encoding.UTF8.GetByteCount(path) > MaxPathBytes)
        {
            return false;
        }

        BitConverter.TryWriteBytes(address, (ushort)AddressFamilyUnix);
        addressBytes = (uint)(sizeof(ushort) + System.Text.Encoding.UTF8.GetBytes(path, address[sizeof(ushort)..]) + 1);
        return true;
    }

    /// <summary>Bytes of an address: family, path and terminator.</summary>
    internal const int AddressBytes = sizeof(ushort) + MaxPathBytes + 1;

    [StructLayout(LayoutKind.Sequential)]
    internal struct Buffer
    {
        public byte* Start;
        public nuint ByteCount;
    }

    /// <summary><c>struct msghdr</c>, 56 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public Buffer* Buffers;
        public nuint BufferCount;
        public byte* Control;
        public nuint ControlLength;
        public int Flags;
    }

    /// <summary><c>struct cmsghdr</c>, 16 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ControlHeader
    {
        public nuint Length;
        public int Level;
        public int Type;
    }

    /// <summary><c>struct ucred</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Credentials
    {
        public int ProcessId;
        public uint UserId;
        public uint GroupId;
    }

    /// <summary><c>struct timeval</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct TimeValue
    {
        public long Seconds;
        public long Microseconds;
    }
}
