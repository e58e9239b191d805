using System.Runtime.InteropServices;
using Kvcached.Gpu.Native;

namespace Kvcached.Gpu.Sockets;

/// <summary>The calls of the C library that wait for many descriptors, and for processes; values are those of 64-bit Linux.</summary>
internal static unsafe partial class EventNative
{
    public const int Add = 1;
    public const int Delete = 2;
    public const int Modify = 3;

    public const uint Readable = 0x1;
    public const uint Writable = 0x4;
    public const uint Error = 0x8;
    public const uint HangUp = 0x10;

    public const int CloseOnExec = 0x80000;
    public const int NonBlocking = 0x800;

    // The same on x86-64 and arm64.
    private const long OpenProcessCall = 434;

    private const string Library = NativeLibraries.Libc;

    [LibraryImport(Library, EntryPoint = "epoll_create1", SetLastError = true)]
    internal static partial int CreateQueue(int flags);

    [LibraryImport(Library, EntryPoint = "epoll_ctl", SetLastError = true)]
    internal static partial int Control(SafeHandle queue, int operation, SafeHandle descriptor, void* interest);

    [LibraryImport(Library, EntryPoint = "epoll_wait", SetLastError = true)]
    internal static partial int Wait(SafeHandle queue, void* events, int maxEvents, int timeoutMilliseconds);

    [LibraryImport(Library, EntryPoint = "eventfd", SetLastError = true)]
    internal static partial int CreateSignal(uint initial, int flags);

    [LibraryImport(Library, EntryPoint = "read", SetLastError = true)]
    internal static partial nint Read(SafeHandle descriptor, void* buffer, nuint byteCount);

    [LibraryImport(Library, EntryPoint = "write", SetLastError = true)]
    internal static partial nint Write(SafeHandle descriptor, void* buffer, nuint byteCount);

    [LibraryImport(Library, EntryPoint = "poll", SetLastError = true)]
    internal static partial int Poll(PollEntry* entries, nuint count, int timeoutMilliseconds);

    /// <summary><c>pidfd_open</c>, by number since older C libraries don't have it; close-on-exec by itself.</summary>
    internal static int OpenProcess(int processId) => (int)SystemCall(OpenProcessCall, processId, 0);

    [LibraryImport(Library, EntryPoint = "syscall", SetLastError = true)]
    private static partial long SystemCall(long number, long first, long second);

    /// <summary><c>struct pollfd</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct PollEntry
    {
        public int Descriptor;
        public short Wanted;
        public short Happened;
    }
}
