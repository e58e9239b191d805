using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Arenas;

/// <summary>
/// The reserved range of one rank and what is mapped in it, with the table by which all ranks are compared. Used by one thread.
/// </summary>
internal sealed class ArenaMemory
{
    private readonly IVirtualMemory _memory;
    private readonly AddressReservation _reservation;
    private readonly ZeroGuard? _guard;
    private readonly PageTable _table;
    private readonly Dictionary<Extent, MappedMemory> _mapped = [];

    /// <summary>Reserves the range.</summary>
    /// <exception cref="VirtualMemoryException">The addresses, or the zeroes of the guard, can't be had.</exception>
    public ArenaMemory(IVirtualMemory memory, PoolGeometry geometry, int rank, ArenaGuard guard = ArenaGuard.None)
    {
        _memory = memory;
        Imports = new KeptImports(memory);
        Layout = ArenaLayout.Create(geometry, rank);
        _table = new PageTable(geometry.VirtualPageCounts);
        if (guard == ArenaGuard.Zero && memory.TryReserveReadable(Layout.ByteCount, out var readable))
        {
            _reservation = readable;
            BaseAddress = _reservation.BaseAddress;
            return;
        }

        _reservation = memory.Reserve(Layout.ByteCount);
        BaseAddress = _reservation.BaseAddress;
        try
        {
            _guard = guard == ArenaGuard.Zero ? new ZeroGuard(memory, Layout, BaseAddress) : null;
        }
        catch (VirtualMemoryException)
        {
            TryFree();
            throw;
        }
    }

    public ArenaLayout Layout { get; }

    public nint BaseAddress { get; }

    /// <summary>What is imported and not mapped.</summary>
    public KeptImports Imports { get; }

    public LayoutDigest Digest => _table.Digest;

    public IReadOnlyCollection<MappedMemory> Mapped => _mapped.Values;

    /// <summary>Page ids of <see cref="Mapped"/>.</summary>
    public int MappedPageCount { get; private set; }

    /// <summary>Bytes of <see cref="Mapped"/>.</summary>
    public long MappedBytes { get; private set; }

    /// <summary>Descriptors kept for <see cref="Mapped"/>.</summary>
    public int MappedDescriptorCount { get; private set; }

    public bool Holds(LentExtent lent) => _mapped.TryGetValue(lent.Extent, out var mapped) && mapped.Lent == lent;

    /// <summary>Maps extents, all or none. The descriptors are taken over.</summary>
    /// <param name="extents">The extents.</param>
    /// <param name="descriptors">Theirs, in the order of extents, of each one per mapping unit.</param>
    /// <param name="stuck">After a refusal: what the driver didn't let go of again.</param>
    /// <returns>Null, or why not.</returns>
    public Refusal? Map(IReadOnlyList<LentExtent> extents, ImmutableArray<SafeFileHandle> descriptors, out List<MappedMemory> stuck)
    {
        stuck = [];
        if (FindFault(extents, descriptors.Length) is { } fault)
        {
            Lines.SocketLine.Discard(descriptors);
            ForgetImportsOf(extents);
            return fault;
        }

        var done = new List<MappedMemory>(extents.Count);
        var next = 0;
        try
        {
            foreach (var lent in extents)
            {
                var units = Layout.UnitsOf(lent.Extent.Group).Length;
                var mapped = new MappedMemory(_memory, Layout, BaseAddress, lent, _guard);
                done.Add(mapped);
                mapped.Map(descriptors.AsSpan(next, units), Imports.Take(lent));
                next += units;
            }
        }
        catch (VirtualMemoryException failure)
        {
            Lines.SocketLine.Discard(descriptors);
            ForgetImportsOf(extents);
            for (var i = done.Count - 1; i >= 0; i--)
            {
                if (!done[i].TryLetGo())
                {
                    stuck.Add(done[i]);
                }
            }

            return new Refusal(
                failure.Code == DriverCode.OutOfMemory ? RefusalReason.OutOfMemory : RefusalReason.DriverFailed,
                $"{done[^1].Extent} could not be mapped in the worker: {failure.Message}");
        }

        foreach (var mapped in done)
        {
            Enter(mapped);
        }

        return null;
    }

    /// <summary>A refused map leaves nothing behind, nor what was there before it.</summary>
    public void ForgetImportsOf(IEnumerable<LentExtent> extents)
    {
        foreach (var lent in extents)
        {
            Imports.TryLetGo(lent);
        }
    }

    /// <summary>Takes an extent out of the table, so that it counts as unmapped; it stays mapped until it is let go of. Null when it isn't there as this very memory.</summary>
    public MappedMemory? TakeOut(LentExtent lent)
    {
        if (!Holds(lent))
        {
            return null;
        }

        _mapped.Remove(lent.Extent, out var mapped);
        _table.Remove(lent.Extent);
        Count(mapped!, -1);
        return mapped;
    }

    /// <summary>Puts memory back into the table that was taken out and is still whole.</summary>
    public void PutBack(MappedMemory mapped) => Enter(mapped);

    /// <summary>Gives the range back; false while anything is mapped in it.</summary>
    public bool TryFree()
    {
        if (_guard is { } guard && !guard.TryRemove())
        {
            return false;
        }

        try
        {
            _memory.Free(_reservation);
            return true;
        }
        catch (VirtualMemoryException)
        {
            return false;
        }
    }

    private void Enter(MappedMemory mapped)
    {
        _mapped.Add(mapped.Extent, mapped);
        _table.Add(mapped.Extent);
        Count(mapped, 1);
    }

    // Asked for after every operation: a large table must not be gone through each time.
    private void Count(MappedMemory mapped, int sign)
    {
        MappedPageCount += sign * mapped.Extent.PageCount;
        MappedBytes += sign * mapped.ByteCount;
        MappedDescriptorCount += sign * mapped.UnitCount;
    }

    /// <summary>Entering them is the check, also of each against the others; all are taken out again at once.</summary>
    private Refusal? FindFault(IReadOnlyList<LentExtent> extents, int descriptorCount)
    {
        var entered = 0;
        var expected = 0;
        var fault = ExtentFault.None;
        while (entered < extents.Count && fault == ExtentFault.None)
        {
            fault = _table.Add(extents[entered].Extent);
            if (fault == ExtentFault.None)
            {
                expected += Layout.UnitsOf(extents[entered++].Extent.Group).Length;
            }
        }

        for (var i = 0; i < entered; i++)
        {
            _table.Remove(extents[i].Extent);
        }

        return fault != ExtentFault.None
            ? new Refusal(RefusalReason.StaleExtent, $"{extents[entered].Extent} can't be mapped in the worker: {fault}.")
            : expected != descriptorCount
                ? new Refusal(RefusalReason.InvalidMessage, $"{descriptorCount} descriptors came for {extents.Count} extents, which have {expected} mapping units.")
                : null;
    }
}
