using Kvcached.Gpu.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Lines;

/// <summary>A descriptor of this very process, by which a host sees its end even where its kernel can't name the other side of a socket.</summary>
internal static class ProcessDescriptor
{
    /// <summary>Null where the kernel has none, or the process may open no more.</summary>
    public static SafeFileHandle? TryOpen()
    {
        var number = Libc.pidfd_open(Libc.SYS_pidfd_open, Environment.ProcessId, 0);
        return number < 0 ? null : new SafeFileHandle((nint)number, ownsHandle: true);
    }
}
