using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;

namespace Kvcached.Gpu.HostMemory;

public sealed partial class HostVirtualMemory
{
    public void Map(nint address, long byteCount, long handleOffsetBytes, MemoryHandle handle)
    {
        RequireSize(VirtualMemoryOperation.Map, "mmap", byteCount);
        lock (_gate)
        {
            if (handleOffsetBytes != 0)
            {
                Throw(VirtualMemoryOperation.Map, new NativeFailure("mmap", DriverCode.NotSupported, "Memory is mapped from its start"), byteCount);
            }

            var memory = Find(VirtualMemoryOperation.Map, handle, byteCount);
            var reservation = FindReservation(address, byteCount);
            if (reservation is null || memory.ByteCount != byteCount || address % GranularityBytes != 0 || !reservation.IsFree(address, byteCount))
            {
                Throw(
                    VirtualMemoryOperation.Map,
                    new NativeFailure("mmap", DriverCode.InvalidValue, "The range is not reserved, not free, not aligned, or not of the memory's size"), byteCount);
            }

            if (Libc.mmap(address, (nuint)byteCount, UnmappedProtection(reservation.IsReadable), Libc.MAP_SHARED | Libc.MAP_FIXED, memory.Descriptor, 0) == Libc.MAP_FAILED)
            {
                Throw(VirtualMemoryOperation.Map, NativeFailure.Last("mmap"), byteCount);
            }

            memory.MappingCount++;
            reservation.Add(new HostMapping(address, memory));
        }
    }

    public void SetAccess(nint address, long byteCount, MemoryAccess access)
    {
        lock (_gate)
        {
            var protection = access switch
            {
                MemoryAccess.None => Libc.PROT_NONE,
                MemoryAccess.Read => Libc.PROT_READ,
                MemoryAccess.ReadWrite => Libc.PROT_READ | Libc.PROT_WRITE,
                _ => -1,
            };
            if (protection < 0 || WholeMappings(address, byteCount).Count == 0)
            {
                Throw(VirtualMemoryOperation.SetAccess, Invalid("mprotect", "The range is not made of whole mappings"), byteCount);
            }

            if (Libc.mprotect(address, (nuint)byteCount, protection) != 0)
            {
                Throw(VirtualMemoryOperation.SetAccess, NativeFailure.Last("mprotect"), byteCount);
            }
        }
    }

    public void Unmap(nint address, long byteCount)
    {
        lock (_gate)
        {
            var mappings = WholeMappings(address, byteCount);
            if (mappings.Count == 0)
            {
                Throw(VirtualMemoryOperation.Unmap, Invalid("mmap", "The range is not made of whole mappings"), byteCount);
            }

            var reservation = FindReservation(address, byteCount)!;
            if (Libc.mmap(address, (nuint)byteCount, UnmappedProtection(reservation.IsReadable), ReservedFlags | Libc.MAP_FIXED, -1, 0) == Libc.MAP_FAILED)
            {
                Throw(VirtualMemoryOperation.Unmap, NativeFailure.Last("mmap"), byteCount);
            }

            foreach (var mapping in mappings)
            {
                reservation.Remove(mapping);
                mapping.Memory.MappingCount--;
                Settle(mapping.Memory);
            }
        }
    }

    /// <summary>Pages of no file that are only read are all the kernel's one page of zeroes, and cost no memory.</summary>
    private static int UnmappedProtection(bool isReadable) => isReadable ? Libc.PROT_READ : Libc.PROT_NONE;

    private ReservedRange<HostMapping>? FindReservation(nint address, long byteCount)
    {
        foreach (var reservation in _reservations.Values)
        {
            if (reservation.Contains(address, byteCount))
            {
                return reservation;
            }
        }

        return null;
    }

    private List<HostMapping> WholeMappings(nint address, long byteCount) => FindReservation(address, byteCount)?.WholeMappings(address, byteCount) ?? [];
}
