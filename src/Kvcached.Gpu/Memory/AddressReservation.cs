using System.Runtime.InteropServices;

namespace Kvcached.Gpu.Memory;

/// <summary>
/// A contiguous range of addresses that nothing else in this process gets; it costs no memory. Given back with
/// <see cref="IVirtualMemory.Free"/>; disposing does the same and swallows a failure, so it is a safety net, not the way.
/// </summary>
public sealed class AddressReservation : SafeHandle
{
    private readonly Func<nint, long, bool> _free;

    internal AddressReservation(nint baseAddress, long byteCount, Func<nint, long, bool> free)
        : base(0, ownsHandle: true)
    {
        _free = free;
        ByteCount = byteCount;
        SetHandle(baseAddress);
    }

    public nint BaseAddress => handle;

    public long ByteCount { get; }

    public override bool IsInvalid => handle == 0;

    /// <summary>Called once the range was given back, so that nobody gives it back again.</summary>
    internal void MarkFreed() => SetHandleAsInvalid();

    protected override bool ReleaseHandle() => _free(handle, ByteCount);
}
