using System.Collections.Immutable;
using Kvcached.Copier.Working;
using Kvcached.Core.Checking;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Copying;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;
using static Kvcached.Gpu.Copying.CopierProtocol;

namespace Kvcached.Copier.Serving;

/// <summary>
/// The copier's own arena of one rank of a pool: the same layout as the worker's, at another address. What can't be undone after a
/// failure throws <see cref="MemoryStuckException"/>: then only the end of the process lets go of the memory.
/// </summary>
internal sealed class PoolArena
{
    private readonly IVirtualMemory _memory;
    private readonly PoolId _pool;
    private readonly PoolGeometry _geometry;
    private readonly ArenaLayout _layout;
    private readonly AddressReservation _reservation;
    private readonly ArenaExtents[] _extents;
    private readonly ImmutableArray<StampLane>[] _lanes;
    private readonly StampKey[] _keys;

    private PoolArena(IVirtualMemory memory, Attach attach, ArenaLayout layout, AddressReservation reservation)
    {
        _memory = memory;
        _pool = attach.Pool;
        _geometry = attach.Geometry;
        _layout = layout;
        _reservation = reservation;
        var groups = Enumerable.Range(0, layout.GroupCount).ToArray();
        _extents = [.. groups.Select(_ => new ArenaExtents())];
        _lanes = [.. groups.Select(g => StampLane.Of(layout, g))];
        _keys = [.. groups.Select(g => StampKey.Of(attach.Pool, attach.Rank, g))];
    }

    /// <summary>The layout, which the geometry alone decides.</summary>
    public ArenaLayout Layout => _layout;

    /// <summary>Where the arena starts in this process.</summary>
    public nint BaseAddress => _reservation.BaseAddress;

    /// <summary>Reserves the arena of a geometry that the rules accept.</summary>
    /// <exception cref="VirtualMemoryException">The addresses can't be had.</exception>
    public static PoolArena Reserve(IVirtualMemory memory, Attach attach)
    {
        var layout = ArenaLayout.Create(attach.Geometry, 0);
        return new PoolArena(memory, attach, layout, memory.Reserve(layout.ByteCount));
    }

    /// <summary>Maps an extent, or says why not and leaves everything as it was. The descriptors stay the caller's.</summary>
    public Refused? Map(Extent extent, IReadOnlyList<SafeFileHandle> descriptors)
    {
        if (!extent.IsWellFormed || extent.Group >= _layout.GroupCount || extent.EndPage > _geometry.VirtualPageCounts[extent.Group])
        {
            return new Refused(CopierRefusal.BadExtent, $"{extent} isn't aligned or lies outside its KV group of {_pool}.");
        }

        if (_extents[extent.Group].Overlapping(extent) is { } other)
        {
            return new Refused(CopierRefusal.ExtentOverlaps, $"{extent} shares page ids with {other.Extent} of {_pool}; drop that first.");
        }

        var units = _layout.UnitsOf(extent.Group);
        if (descriptors.Count != units.Length)
        {
            return new Refused(
                CopierRefusal.WrongDescriptorCount, $"{extent} of {_pool} has {units.Length} mapping units; {descriptors.Count} descriptors came.");
        }

        var handles = new List<MemoryHandle>(units.Length);
        var unit = 0;
        try
        {
            for (; unit < units.Length; unit++)
            {
                handles.Add(MapUnit(units[unit], extent, descriptors[unit]));
            }
        }
        catch (VirtualMemoryException failure)
        {
            Unmap(units.AsSpan()[..handles.Count], extent, handles);
            return Explain(failure, $"{extent} of {_pool}, mapping unit {unit}");
        }

        _extents[extent.Group].Add(new MappedExtent(extent, [.. handles]));
        return null;
    }

    /// <summary>Unmaps an extent and releases its memory, or says why not.</summary>
    public Refused? Drop(Extent extent)
    {
        var (mapped, refusal) = Find(extent);
        if (mapped is null)
        {
            return refusal;
        }

        Unmap(_layout.UnitsOf(extent.Group).AsSpan(), extent, mapped.Handles);
        _extents[extent.Group].Remove(mapped);
        return null;
    }

    /// <summary>Unmaps everything and gives the addresses back.</summary>
    public void Close()
    {
        foreach (var extents in _extents)
        {
            foreach (var mapped in extents.All.ToArray())
            {
                Drop(mapped.Extent);
            }
        }

        try
        {
            _memory.Free(_reservation);
        }
        catch (VirtualMemoryException failure)
        {
            throw new MemoryStuckException($"The arena of {_pool} can't be given back: {failure.Message}", failure);
        }
    }

    /// <summary>Finds a mapped extent of exactly this generation.</summary>
    public (MappedExtent? Mapped, Refused? Refusal) Find(Extent extent)
    {
        var mapped = extent.IsWellFormed && extent.Group < _layout.GroupCount ? _extents[extent.Group].Containing(extent.First) : null;
        if (mapped is null || mapped.Extent.First != extent.First || mapped.Extent.Order != extent.Order)
        {
            return (null, new Refused(CopierRefusal.UnknownExtent, $"{extent} of {_pool} isn't mapped."));
        }

        return mapped.Extent == extent
            ? (mapped, null)
            : (null, new Refused(CopierRefusal.StaleExtent, $"{extent} of {_pool} isn't mapped, but {mapped.Extent} is."));
    }

    /// <summary>Checks that all stamped blocks are mapped and makes a batch of them.</summary>
    public (StampWork? Work, Refused? Refusal) Prepare(int group, ImmutableArray<BlockStamp> stamps)
    {
        if (group >= _layout.GroupCount)
        {
            return (null, new Refused(CopierRefusal.UnknownGroup, $"{_pool} has {_layout.GroupCount} KV groups, none of them {group}."));
        }

        var slots = _geometry.SlotsOf(group);
        var seen = new HashSet<BlockId>(stamps.Length);
        foreach (var stamp in stamps)
        {
            if (!slots.IsUsable(stamp.Block) || slots.PageOf(stamp.Block).Value >= _geometry.VirtualPageCounts[group] || !seen.Add(stamp.Block))
            {
                return (null, new Refused(
                    CopierRefusal.BadBlock, $"{stamp.Block} of KV group {group} of {_pool} is out of range, straddles two pages, or is named twice."));
            }

            if (_extents[group].Containing(slots.PageOf(stamp.Block)) is null)
            {
                return (null, new Refused(CopierRefusal.BlockNotMapped, $"{stamp.Block} of KV group {group} of {_pool} lies in no mapped extent."));
            }
        }

        return (new StampWork(BaseAddress, _keys[group], _layout.ShapeOf(group).BlockBytes, _lanes[group], stamps), null);
    }

    /// <summary>What a failed driver call means to the caller.</summary>
    public static Refused Explain(VirtualMemoryException failure, string what)
    {
        var reason = failure switch
        {
            { Code: DriverCode.OutOfMemory } => CopierRefusal.OutOfMemory,
            { Operation: VirtualMemoryOperation.Import } or { Operation: VirtualMemoryOperation.Map, Code: DriverCode.InvalidValue } =>
                CopierRefusal.BadDescriptor,
            _ => CopierRefusal.DeviceFailed,
        };
        return new Refused(reason, $"{what}: {failure.Message}");
    }

    private MemoryHandle MapUnit(MappingUnit unit, in Extent extent, SafeFileHandle descriptor)
    {
        var byteCount = unit.BytesOf(extent);
        var address = BaseAddress + (nint)unit.OffsetOf(extent);
        var handle = _memory.Import(descriptor, byteCount);
        var isMapped = false;
        try
        {
            _memory.Map(address, byteCount, 0, handle);
            isMapped = true;
            _memory.SetAccess(address, byteCount, MemoryAccess.ReadWrite);
            return handle;
        }
        catch (VirtualMemoryException)
        {
            LetGo(isMapped ? address : 0, byteCount, handle, extent);
            throw;
        }
    }

    private void Unmap(ReadOnlySpan<MappingUnit> units, in Extent extent, IReadOnlyList<MemoryHandle> handles)
    {
        for (var i = units.Length - 1; i >= 0; i--)
        {
            LetGo(BaseAddress + (nint)units[i].OffsetOf(extent), units[i].BytesOf(extent), handles[i], extent);
        }
    }

    private void LetGo(nint mappedAddress, long byteCount, MemoryHandle handle, in Extent extent)
    {
        try
        {
            if (mappedAddress != 0)
            {
                _memory.Unmap(mappedAddress, byteCount);
            }

            _memory.Release(handle);
        }
        catch (VirtualMemoryException failure)
        {
            throw new MemoryStuckException($"{extent} of {_pool} can't be let go of: {failure.Message}", failure);
        }
    }
}
