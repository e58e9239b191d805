using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Tests.Support;

/// <summary>The host's memory: creates what backs extents, lends descriptors of it, and reads it through mappings of its own.</summary>
internal sealed class Lender(ArenaLayout layout) : IDisposable
{
    private readonly HostVirtualMemory _memory = new(new HostVirtualMemoryOptions { GranularityBytes = TestPool.PageBytes });
    private readonly List<AddressReservation> _reservations = [];
    private readonly Dictionary<Extent, List<(nint Address, long Bytes, MemoryHandle Handle)>> _lent = [];
    private long _serial;

    /// <summary>Backs an extent with new memory.</summary>
    public (LentExtent Lent, SafeFileHandle[] Descriptors) Lend(Extent extent)
    {
        var pieces = new List<(nint, long, MemoryHandle)>();
        foreach (var unit in layout.UnitsOf(extent.Group))
        {
            var bytes = unit.BytesOf(extent);
            Assert.True(_memory.TryCreate(bytes, out var handle));
            var reservation = _memory.Reserve(bytes);
            _memory.Map(reservation.BaseAddress, bytes, 0, handle);
            _memory.SetAccess(reservation.BaseAddress, bytes, MemoryAccess.ReadWrite);
            _reservations.Add(reservation);
            pieces.Add((reservation.BaseAddress, bytes, handle));
        }

        _lent[extent] = pieces;
        return (new LentExtent(extent, new ExtentIdentity(new HostIncarnation(7), ++_serial, extent.Generation)), Descriptors(extent));
    }

    /// <summary>Fresh descriptors of what backs an extent.</summary>
    public SafeFileHandle[] Descriptors(Extent extent) => [.. _lent[extent].Select(p => _memory.Export(p.Handle))];

    /// <summary>The memory of one mapping unit of an extent, as the host sees it.</summary>
    public unsafe Span<byte> View(Extent extent, int unit) => new((void*)_lent[extent][unit].Address, (int)_lent[extent][unit].Bytes);

    public void Dispose() => _memory.Dispose();
}
