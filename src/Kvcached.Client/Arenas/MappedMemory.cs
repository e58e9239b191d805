using System.Collections.Immutable;
using Kvcached.Core.Geometry;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Arenas;

/// <summary>
/// The memory of one extent in this process: per mapping unit a descriptor, an imported handle and a mapping. Every step can fail, and what is
/// there can always be let go of as far as the driver allows, as often as it takes.
/// </summary>
internal sealed class MappedMemory
{
    private readonly IVirtualMemory _memory;
    private readonly MappingUnit[] _units;
    private readonly ZeroGuard? _guard;
    private readonly nint _baseAddress;
    private readonly SafeFileHandle?[] _descriptors;
    private readonly MemoryHandle?[] _handles;
    private readonly bool[] _isMapped;

    public MappedMemory(IVirtualMemory memory, ArenaLayout layout, nint baseAddress, LentExtent lent, ZeroGuard? guard = null)
    {
        (_memory, _baseAddress, Lent, _guard) = (memory, baseAddress, lent, guard);
        _units = [.. layout.UnitsOf(lent.Extent.Group)];
        ByteCount = _units.Sum(unit => unit.BytesOf(lent.Extent));
        _descriptors = new SafeFileHandle?[_units.Length];
        _handles = new MemoryHandle?[_units.Length];
        _isMapped = new bool[_units.Length];
    }

    public LentExtent Lent { get; }

    public Extent Extent => Lent.Extent;

    public long ByteCount { get; }

    /// <summary>Mapping units, and descriptors as long as it is whole.</summary>
    public int UnitCount => _units.Length;

    /// <summary>Its descriptors, one per mapping unit; they stay its own. Only while it is whole.</summary>
    public IEnumerable<SafeFileHandle> Descriptors => _descriptors.Select(d => d!);

    public int OpenDescriptorCount => _descriptors.Count(d => d is not null);

    /// <summary>True once nothing of it is left in this process.</summary>
    public bool IsGone => Array.TrueForAll(_descriptors, d => d is null) && Array.TrueForAll(_handles, h => h is null);

    /// <summary>True while every unit is mapped and has its descriptor, so that it can be put back into the table as it is.</summary>
    public bool IsWhole => Array.TrueForAll(_isMapped, m => m) && Array.TrueForAll(_descriptors, d => d is { IsClosed: false });

    /// <summary>Maps all units. Descriptors and imports are taken over, whatever comes of it; after a failure <see cref="TryLetGo"/> undoes what was done.</summary>
    /// <param name="descriptors">One per unit.</param>
    /// <param name="imported">The same memory, one handle per unit, where it was kept imported; null where it is to be imported.</param>
    /// <exception cref="VirtualMemoryException">The driver, or the limit of open files, refuses.</exception>
    public void Map(ReadOnlySpan<SafeFileHandle> descriptors, ImmutableArray<MemoryHandle>? imported = null)
    {
        for (var unit = 0; unit < (imported?.Length ?? 0); unit++)
        {
            _handles[unit] = imported!.Value[unit];
        }

        for (var unit = 0; unit < _units.Length; unit++)
        {
            // Engines still use select, which can't handle high numbers; so the low ones are left to them.
            using var arrived = descriptors[unit];
            if (!FileDescriptors.TryDuplicateHigh(arrived, out var kept, out var problem))
            {
                throw new VirtualMemoryException(
                    VirtualMemoryOperation.Import, "fcntl(F_DUPFD_CLOEXEC)", DriverCode.OperatingSystem, _memory.Gpu, _units[unit].BytesOf(Extent), problem.TrimEnd('.'));
            }

            KvProcess.Enter(kept);
            _descriptors[unit] = kept;
        }

        for (var unit = 0; unit < _units.Length; unit++)
        {
            var bytes = _units[unit].BytesOf(Extent);
            var address = AddressOf(unit);
            var handle = _handles[unit] ?? _memory.Import(_descriptors[unit]!, bytes);
            _handles[unit] = handle;
            _guard?.Uncover(_units[unit], Extent);
            _memory.Map(address, bytes, 0, handle);
            _isMapped[unit] = true;
            ForkExclusion.Exclude(_memory, address, bytes);
            _memory.SetAccess(address, bytes, MemoryAccess.ReadWrite);

            // The mapping keeps the memory. There a handle is one more descriptor, which forked children would inherit without knowing of it.
            if (_memory.IsHostAccessible)
            {
                _memory.Release(handle);
                _handles[unit] = null;
            }
        }
    }

    /// <summary>
    /// Unmaps, releases and closes in reverse, as far as it goes. True when nothing is left; what the driver keeps can be tried again.
    /// </summary>
    public bool TryLetGo()
    {
        for (var unit = _units.Length - 1; unit >= 0; unit--)
        {
            try
            {
                if (_isMapped[unit])
                {
                    _memory.Unmap(AddressOf(unit), _units[unit].BytesOf(Extent));
                    _isMapped[unit] = false;
                }

                _guard?.Cover(_units[unit], Extent);
                if (_handles[unit] is { } handle)
                {
                    _memory.Release(handle);
                    _handles[unit] = null;
                }
            }
            catch (VirtualMemoryException)
            {
                // What keeps it is the driver's secret; whoever asks again may have more luck. The others can go all the same.
                continue;
            }

            if (_descriptors[unit] is { } descriptor)
            {
                KvProcess.Close(descriptor);
                _descriptors[unit] = null;
            }
        }

        return IsGone;
    }

    /// <summary>
    /// Unmaps and closes, and hands over the imported handles, one per unit. False when the driver keeps anything mapped, or nothing is imported apart from
    /// its mapping; then all is as if it had been left to <see cref="TryLetGo"/>, which goes on.
    /// </summary>
    public bool TryRetire(out ImmutableArray<MemoryHandle> imported)
    {
        imported = [];
        if (!IsWhole || Array.Exists(_handles, h => h is null))
        {
            return false;
        }

        for (var unit = _units.Length - 1; unit >= 0; unit--)
        {
            try
            {
                _memory.Unmap(AddressOf(unit), _units[unit].BytesOf(Extent));
                _isMapped[unit] = false;
                _guard?.Cover(_units[unit], Extent);
            }
            catch (VirtualMemoryException)
            {
                return false;
            }
        }

        for (var unit = 0; unit < _units.Length; unit++)
        {
            KvProcess.Close(_descriptors[unit]!);
            _descriptors[unit] = null;
        }

        imported = [.. _handles.Select(h => h!.Value)];
        Array.Clear(_handles);
        return true;
    }

    private nint AddressOf(int unit) => _baseAddress + (nint)_units[unit].OffsetOf(Extent);
}
