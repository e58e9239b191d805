using System.Runtime.InteropServices;

namespace Kvcached.Gpu.Copying.Sockets;

/// <summary>The calls of the C library that pass file descriptors between processes; 64-bit Linux.</summary>
internal static unsafe partial class SocketNative
{
    public const int AddressFamilyUnix = 1;
    public const int SequencedPacket = 5;
    public const int CloseOnExec = 0x80000;
    public const int SocketLevel = 1;
    public const int PassRights = 1;
    public const int NoSignal = 0x4000;
    public const int ReceivedCloseOnExec = 0x4000_0000;
    public const int ControlTruncated = 0x8;
    public const int Truncated = 0x20;
    public const int ShutdownBoth = 2;
    public const int DuplicateCloseOnExec = 1030;
    public const int GetFlags = 3;
    public const int SetFlags = 4;
    public const int NonBlocking = 0x800;
    public const int InterruptedCall = 4;

    /// <summary>Bytes of <see cref="ControlHeader"/>, to which the data after it is aligned.</summary>
    public const int ControlHeaderBytes = 16;

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    internal static partial nint SendMessage(int socket, in MessageHeader message, int flags);

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    internal static partial nint ReceiveMessage(int socket, ref MessageHeader message, int flags);

    [LibraryImport("libc", EntryPoint = "socketpair", SetLastError = true)]
    internal static partial int SocketPair(int domain, int type, int protocol, int* pair);

    [LibraryImport("libc", EntryPoint = "shutdown", SetLastError = true)]
    internal static partial int Shutdown(int socket, int how);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    internal static partial int FileControl(int descriptor, int command, nint argument);

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
}
