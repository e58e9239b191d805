using System.Runtime.InteropServices;
using Kvcached.Gpu.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Memory;

/// <summary>Duplicates file descriptors of memory to where they don't get in anyone's way.</summary>
public static class FileDescriptors
{
    /// <summary>
    /// Descriptors of memory are numbered above this: engines may still use <c>select</c>, which can't handle numbers from 1024 on,
    /// so the low ones are left to them.
    /// </summary>
    public const int HighestSelectable = 1024;

    /// <summary>
    /// A duplicate, close-on-exec and numbered above <see cref="HighestSelectable"/>. False, with the reason, when the process may
    /// open no more.
    /// </summary>
    public static bool TryDuplicateHigh(SafeFileHandle descriptor, out SafeFileHandle duplicate, out string problem)
    {
        var number = Libc.fcntl(descriptor, Libc.F_DUPFD_CLOEXEC, HighestSelectable + 1);
        if (number < 0)
        {
            duplicate = new SafeFileHandle(-1, ownsHandle: false);
            problem = $"No file descriptor above {HighestSelectable} could be had: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}. "
                + "Raise the limit of open files (ulimit -n, LimitNOFILE in systemd).";
            return false;
        }

        duplicate = new SafeFileHandle(number, ownsHandle: true);
        problem = string.Empty;
        return true;
    }

    /// <summary>Like <see cref="TryDuplicateHigh"/>, closing the original in either case.</summary>
    internal static bool TryMoveHigh(SafeFileHandle descriptor, out SafeFileHandle moved, out string problem)
    {
        using (descriptor)
        {
            return TryDuplicateHigh(descriptor, out moved, out problem);
        }
    }
}
