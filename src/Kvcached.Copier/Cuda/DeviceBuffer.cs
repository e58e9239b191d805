using System.Runtime.InteropServices;
using Kvcached.Copier.Serving;
using Kvcached.Gpu.Copying.Devices;

namespace Kvcached.Copier.Cuda;

/// <summary>Device memory for what kernels read and write beside the arenas; grows, never shrinks.</summary>
internal sealed class DeviceBuffer : IDisposable
{
    private const long SmallestBytes = 64 * 1024;

    private long _byteCount;

    /// <summary>Where it is; 0 before the first use.</summary>
    public ulong Address { get; private set; }

    /// <summary>Puts values into it.</summary>
    public void Fill<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        var bytes = MemoryMarshal.AsBytes(values);
        EnsureRoom(bytes.Length);
        CudaWork.CopyIn(Address, bytes);
    }

    /// <summary>Gets values out of it, once the kernels before are done.</summary>
    public void Fetch<T>(Span<T> values)
        where T : unmanaged => CudaWork.CopyOut(Address, MemoryMarshal.AsBytes(values));

    public void Dispose()
    {
        if (Address != 0)
        {
            CudaWork.Free(Address);
            Address = 0;
        }
    }

    private void EnsureRoom(long byteCount)
    {
        if (byteCount <= _byteCount)
        {
            return;
        }

        Dispose();
        _byteCount = 0;
        var rounded = Math.Max(SmallestBytes, (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)byteCount));
        if (!CudaWork.TryAllocate(rounded, out var address))
        {
            throw new MemoryStuckException($"The device has no {rounded} bytes left for the copier's own lists.");
        }

        (Address, _byteCount) = (address, rounded);
    }
}
