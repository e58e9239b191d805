using System.Diagnostics;
using System.Runtime.InteropServices;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Benchmarks.AttachedMaps;

/// <summary>The mapping calls alone: of the driver on a GPU, <c>mmap</c> on main memory.</summary>
internal sealed partial class BareMapper(IVirtualMemory memory, long byteCount) : IDisposable
{
    private const int ReadWrite = 3;
    private const int SharedFixed = 0x11;
    private const int PrivateAnonymousFixed = 0x32;

    private readonly AddressReservation _range = memory.Reserve(byteCount);
    private SafeFileHandle? _descriptor;
    private MemoryHandle _handle;

    /// <summary>Maps what a descriptor is of; it is taken over. Returns microseconds.</summary>
    public double Map(SafeFileHandle descriptor)
    {
        _descriptor = descriptor;
        var started = Stopwatch.GetTimestamp();
        if (memory.IsHostAccessible)
        {
            Require(mmap(_range.BaseAddress, (nuint)byteCount, ReadWrite, SharedFixed, (int)descriptor.DangerousGetHandle(), 0));
        }
        else
        {
            _handle = memory.Import(descriptor, byteCount);
            memory.Map(_range.BaseAddress, byteCount, 0, _handle);
            memory.SetAccess(_range.BaseAddress, byteCount, MemoryAccess.ReadWrite);
        }

        return Stopwatch.GetElapsedTime(started).TotalMicroseconds;
    }

    /// <summary>Unmaps it again and closes the descriptor. Returns microseconds.</summary>
    public double Unmap()
    {
        var started = Stopwatch.GetTimestamp();
        if (memory.IsHostAccessible)
        {
            Require(mmap(_range.BaseAddress, (nuint)byteCount, 0, PrivateAnonymousFixed, -1, 0));
        }
        else
        {
            memory.Unmap(_range.BaseAddress, byteCount);
            memory.Release(_handle);
        }

        _descriptor!.Dispose();
        return Stopwatch.GetElapsedTime(started).TotalMicroseconds;
    }

    public void Dispose() => memory.Free(_range);

    private static void Require(nint address)
    {
        if (address == -1)
        {
            throw new InvalidOperationException($"mmap failed: {Marshal.GetLastPInvokeErrorMessage()}");
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint mmap(nint address, nuint length, int protection, int flags, int descriptor, nint offset);
}
