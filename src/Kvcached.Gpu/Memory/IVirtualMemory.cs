using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Ids;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Memory;

/// <summary>
/// Virtual memory of one GPU (or of the host in its place): addresses and physical memory are had apart and bound by mapping.
/// The rules are CUDA's, in every backend. Safe for use by several threads, except that one address range or handle is used by
/// one thread at a time.
/// </summary>
/// <remarks>
/// Every call but <see cref="TryCreate"/> that the driver refuses throws <see cref="VirtualMemoryException"/> and changes nothing.
/// </remarks>
public interface IVirtualMemory : IDisposable
{
    /// <summary><c>cuda</c> or <c>host</c>.</summary>
    string Backend { get; }

    GpuId Gpu { get; }

    /// <summary>Name for people, for example <c>NVIDIA H100 80GB HBM3</c>.</summary>
    string DeviceName { get; }

    /// <summary>Every size and address here is a multiple of this many bytes.</summary>
    long GranularityBytes { get; }

    /// <summary>Physical bytes that the device has.</summary>
    long TotalBytes { get; }

    /// <summary>True when mapped memory can be read and written by the processor at its address.</summary>
    bool IsHostAccessible { get; }

    /// <summary>Reserves addresses, aligned to the granularity.</summary>
    AddressReservation Reserve(long byteCount);

    /// <summary>
    /// Reserves addresses that read as zeroes wherever nothing is mapped, without a gap while memory is mapped or unmapped there; what is mapped
    /// can be read before <see cref="SetAccess"/>. False where the backend can't: there <see cref="ZeroGuard"/> maps zeroes.
    /// </summary>
    bool TryReserveReadable(long byteCount, [NotNullWhen(true)] out AddressReservation? reservation);

    /// <summary>Gives addresses back. Refused while anything is mapped there.</summary>
    void Free(AddressReservation reservation);

    /// <summary>Creates physical memory, which reads as zeroes. False when the device has too little left.</summary>
    bool TryCreate(long byteCount, out MemoryHandle handle);

    /// <summary>Binds memory to reserved addresses that have none; they stay inaccessible until <see cref="SetAccess"/>.</summary>
    /// <param name="address">Where, within one reservation.</param>
    /// <param name="byteCount">The size of the memory.</param>
    /// <param name="handleOffsetBytes">0; anything else is not supported by any driver so far.</param>
    /// <param name="handle">The memory.</param>
    void Map(nint address, long byteCount, long handleOffsetBytes, MemoryHandle handle);

    /// <summary>Allows or forbids access to one or more whole, adjoining mappings.</summary>
    void SetAccess(nint address, long byteCount, MemoryAccess access);

    /// <summary>Takes one or more whole, adjoining mappings away; the addresses stay reserved and become inaccessible.</summary>
    void Unmap(nint address, long byteCount);

    /// <summary>Gives a handle up. The memory lives on while it is mapped anywhere or a file descriptor of it is open.</summary>
    void Release(MemoryHandle handle);

    /// <summary>
    /// A file descriptor by which other processes can import the memory, close-on-exec and numbered above
    /// <see cref="FileDescriptors.HighestSelectable"/>. Memory that was itself imported can't be exported.
    /// </summary>
    SafeFileHandle Export(MemoryHandle handle);

    /// <summary>Makes memory of a file descriptor usable here. The caller keeps the descriptor.</summary>
    /// <param name="descriptor">From <see cref="Export"/>, of this or another process.</param>
    /// <param name="byteCount">The size that it was created with.</param>
    MemoryHandle Import(SafeFileHandle descriptor, long byteCount);
}
