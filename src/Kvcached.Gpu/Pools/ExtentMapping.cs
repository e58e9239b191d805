using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Pools;

/// <summary>An extent and the memory that backs it, with the units of it that are mapped in this process.</summary>
internal sealed class ExtentMapping(Extent extent, ExtentMemory memory)
{
    private readonly bool[] _isMapped = new bool[memory.Pieces.Length];

    internal Extent Extent => extent;

    internal ExtentMemory Memory => memory;

    internal long ByteCount => memory.HeldBytes;

    /// <summary>The failure that keeps it in quarantine; null while it is mapped, or only held back.</summary>
    internal DriverFailure? Failure { get; set; }

    internal ExtentIdentity Identity => new(memory.Creator, memory.Serial, extent.Generation);

    internal QuarantinedExtent ToQuarantined() => new(extent, Failure?.Call, Failure?.Code ?? DriverCode.Success, Failure?.Text ?? string.Empty);

    /// <summary>Maps every unit and allows access; stops at the first failure, for <see cref="Unmap"/> to undo.</summary>
    internal DriverFailure? Map(IVirtualMemory driver, ArenaLayout layout, nint baseAddress)
    {
        var units = layout.UnitsOf(extent.Group);
        for (var i = 0; i < units.Length; i++)
        {
            var piece = memory.Pieces[i];
            var address = baseAddress + (nint)units[i].OffsetOf(extent);
            var failure = DriverFailure.Of(() => driver.Map(address, piece.ByteCount, 0, piece.Handle));
            _isMapped[i] = failure is null;
            failure ??= DriverFailure.Of(() => driver.SetAccess(address, piece.ByteCount, MemoryAccess.ReadWrite));
            if (failure is not null)
            {
                return failure;
            }
        }

        return null;
    }

    /// <summary>Unmaps the units that are mapped, last first. Goes on after a failure and returns the first.</summary>
    internal DriverFailure? Unmap(IVirtualMemory driver, ArenaLayout layout, nint baseAddress)
    {
        var units = layout.UnitsOf(extent.Group);
        DriverFailure? first = null;
        for (var i = units.Length - 1; i >= 0; i--)
        {
            if (!_isMapped[i])
            {
                continue;
            }

            var address = baseAddress + (nint)units[i].OffsetOf(extent);
            var bytes = memory.Pieces[i].ByteCount;
            var failure = DriverFailure.Of(() => driver.Unmap(address, bytes));
            _isMapped[i] = failure is not null;
            first ??= failure;
        }

        return first;
    }
}
