using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Sockets;

/// <summary>
/// Process descriptors (pidfd): they become readable when their process has ended, and can't come to mean another one as a process id can.
/// </summary>
public static class ProcessDescriptor
{
    private const string Kind = "anon_inode:[pidfd]";
    private const string KindOfFileSystem = "pidfd:";

    /// <summary>
    /// The process that connected to a socket: from the socket itself, which can't be wrong, where the kernel can (6.5); else by its
    /// process id, which is right unless that process had ended and its number was given away since.
    /// </summary>
    /// <param name="socket">The connected socket.</param>
    /// <param name="peer">Who connected.</param>
    /// <returns>The descriptor, close-on-exec; null when neither way works.</returns>
    public static unsafe SafeFileHandle? OfPeer(SafeHandle socket, PeerCredentials peer)
    {
        var descriptor = -1;
        var bytes = (uint)sizeof(int);
        if (SocketNative.GetOption(socket, SocketNative.SocketLevel, SocketNative.OptionPeerProcess, &descriptor, &bytes) == 0 && descriptor >= 0)
        {
            return new SafeFileHandle(descriptor, ownsHandle: true);
        }

        descriptor = peer.ProcessId > 0 ? EventNative.OpenProcess(peer.ProcessId) : -1;
        return descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : null;
    }

    /// <summary>The process that has this id now; null when there is none, or the kernel has no such descriptors.</summary>
    public static SafeFileHandle? OfProcess(int processId) =>
        processId > 0 && EventNative.OpenProcess(processId) is >= 0 and var descriptor ? new SafeFileHandle(descriptor, ownsHandle: true) : null;

    /// <summary>A descriptor of this process, to send to whoever wants to know of its end; null when the kernel has none.</summary>
    public static SafeFileHandle? OfSelf() =>
        EventNative.OpenProcess(Environment.ProcessId) is >= 0 and var descriptor ? new SafeFileHandle(descriptor, ownsHandle: true) : null;

    /// <summary>
    /// True for a process descriptor, whatever a stranger says that it is, whose process still lives, and is the one expected where both can be told.
    /// </summary>
    /// <param name="descriptor">What came.</param>
    /// <param name="expectedProcessId">The process that sent it; 0 = not visible from here.</param>
    public static bool IsOfLivingProcess(SafeFileHandle descriptor, int expectedProcessId)
    {
        var number = descriptor.DangerousGetHandle().ToString(CultureInfo.InvariantCulture);
        try
        {
            var target = new FileInfo($"/proc/self/fd/{number}").LinkTarget;
            if (target is null || (target != Kind && !target.StartsWith(KindOfFileSystem, StringComparison.Ordinal)))
            {
                return false;
            }

            var line = File.ReadLines($"/proc/self/fdinfo/{number}").FirstOrDefault(text => text.StartsWith("Pid:", StringComparison.Ordinal));
            var processId = int.TryParse(line.AsSpan(line is null ? 0 : 4), NumberStyles.AllowLeadingWhite | NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var id) ? id : -1;

            // -1: ended; 0: in a namespace that isn't visible from here.
            return processId >= 0 && processId == expectedProcessId && !HasEnded(descriptor);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>True when the process has ended.</summary>
    public static unsafe bool HasEnded(SafeFileHandle process)
    {
        var taken = false;
        try
        {
            process.DangerousAddRef(ref taken);
            var entry = new EventNative.PollEntry { Descriptor = (int)process.DangerousGetHandle(), Wanted = (short)EventNative.Readable };
            int ready;
            do
            {
                ready = EventNative.Poll(&entry, 1, 0);
            }
            while (ready < 0 && Marshal.GetLastPInvokeError() == SocketNative.InterruptedCall);

            return ready > 0;
        }
        finally
        {
            if (taken)
            {
                process.DangerousRelease();
            }
        }
    }
}
