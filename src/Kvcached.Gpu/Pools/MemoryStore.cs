using System.Collections.Immutable;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Pools;

/// <summary>
/// Creates, shares and releases the memory of extents, unit by unit. Called without the ledger's lock; whatever a driver call
/// leaves behind is told to the ledger, so that no handle is ever forgotten.
/// </summary>
internal sealed class MemoryStore(IVirtualMemory memory, HostIncarnation incarnation, CapacityLedger ledger, FileDescriptorBudget descriptors)
{
    private long _lastSerial;

    internal IVirtualMemory Memory => memory;

    internal FileDescriptorBudget Descriptors => descriptors;

    /// <summary>Clean memory for an extent of this shape; null with <paramref name="failure"/>, or without one when the device is out of memory.</summary>
    internal ExtentMemory? TryCreate(PoolAccount owner, ArenaLayout layout, in Extent shape, out DriverFailure? failure)
    {
        var units = layout.UnitsOf(shape.Group);
        var created = new ExtentMemory(owner, incarnation, Interlocked.Increment(ref _lastSerial), shape.Group, shape.Order, units.Length);
        failure = null;
        for (var i = 0; i < units.Length; i++)
        {
            var bytes = units[i].BytesOf(shape);
            var handle = default(MemoryHandle);
            failure = DriverFailure.Of(() => memory.TryCreate(bytes, out handle), out var isCreated);
            if (failure is not null || !isCreated)
            {
                Discard(created);
                return null;
            }

            created.Pieces[i] = new MemoryPiece { Handle = handle, ByteCount = bytes, IsHeld = true };
            owner.CountHandles(1);
        }

        return created;
    }

    /// <summary>Memory that a worker kept alive, from the descriptors that it handed back; they stay the caller's.</summary>
    internal ExtentMemory? TryAdopt(
        PoolAccount owner, ArenaLayout layout, in Extent shape, ExtentIdentity identity, ReadOnlySpan<SafeFileHandle> offered, out DriverFailure? failure)
    {
        var units = layout.UnitsOf(shape.Group);
        var adopted = new ExtentMemory(owner, identity.Creator, identity.Serial, shape.Group, shape.Order, units.Length);
        failure = null;
        for (var i = 0; i < units.Length; i++)
        {
            var bytes = units[i].BytesOf(shape);
            var handle = default(MemoryHandle);
            var descriptor = offered[i];
            failure = DriverFailure.Of(() => handle = memory.Import(descriptor, bytes));
            if (failure is not null)
            {
                Discard(adopted);
                return null;
            }

            adopted.Pieces[i] = new MemoryPiece { Handle = handle, ByteCount = bytes, IsHeld = true };
            owner.CountHandles(1);
            if (!TryKeepDescriptor(owner, offered[i], ref adopted.Pieces[i], out failure))
            {
                Discard(adopted);
                return null;
            }
        }

        return adopted;
    }

    /// <summary>A duplicate of every unit's descriptor, which is made and kept first where there is none yet.</summary>
    internal DriverFailure? TryExport(ExtentMemory extent, out ImmutableArray<SafeFileHandle> shared)
    {
        shared = [];
        var duplicates = ImmutableArray.CreateBuilder<SafeFileHandle>(extent.Pieces.Length);
        DriverFailure? failure = null;
        foreach (ref var piece in extent.Pieces.AsSpan())
        {
            if (piece.Descriptor is null && (failure = TryKeepExported(extent.Owner, ref piece)) is not null)
            {
                break;
            }

            if (!FileDescriptors.TryDuplicateHigh(piece.Descriptor!, out var duplicate, out var problem))
            {
                failure = new DriverFailure("fcntl(F_DUPFD_CLOEXEC)", DriverCode.OperatingSystem, problem);
                break;
            }

            duplicates.Add(duplicate);
        }

        if (failure is null)
        {
            shared = duplicates.MoveToImmutable();
            return null;
        }

        foreach (var duplicate in duplicates)
        {
            duplicate.Dispose();
        }

        return failure;
    }

    /// <summary>
    /// Closes the descriptors and gives the handles back. What the driver refuses becomes the owner's stuck memory, counted as
    /// quarantined. Returns the bytes released; the caller has taken the memory off all other books.
    /// </summary>
    internal long Release(ExtentMemory extent, out DriverFailure? failure)
    {
        failure = null;
        var released = 0L;
        foreach (ref var piece in extent.Pieces.AsSpan())
        {
            if (piece.Descriptor is { } descriptor)
            {
                descriptor.Dispose();
                piece.Descriptor = null;
                descriptors.Return(1);
                extent.Owner.CountDescriptors(-1);
            }

            if (piece.IsHeld)
            {
                var handle = piece.Handle;
                if (DriverFailure.Of(() => memory.Release(handle)) is { } refused)
                {
                    failure ??= refused;
                    continue;
                }

                piece.IsHeld = false;
                released += piece.ByteCount;
                extent.Owner.CountHandles(-1);
            }
        }

        if (failure is not null)
        {
            lock (ledger.Gate)
            {
                extent.Owner.Stuck.Add(extent);
                extent.Owner.QuarantinedBytes += extent.HeldBytes;
            }
        }

        return released;
    }

    /// <summary>Releases memory whose bytes are counted as pending of its owner, and uncounts them.</summary>
    internal long ReleasePending(IEnumerable<ExtentMemory> extents, out DriverFailure? failure)
    {
        failure = null;
        var total = 0L;
        foreach (var extent in extents)
        {
            var pending = extent.HeldBytes;
            total += Release(extent, out var refused);
            failure ??= refused;
            lock (ledger.Gate)
            {
                extent.Owner.PendingBytes -= pending;
            }
        }

        return total;
    }

    private void Discard(ExtentMemory incomplete) => Release(incomplete, out _);

    private DriverFailure? TryKeepExported(PoolAccount owner, ref MemoryPiece piece)
    {
        if (!descriptors.TryTake(1))
        {
            return new DriverFailure("fcntl(F_DUPFD_CLOEXEC)", DriverCode.OperatingSystem, descriptors.Explain(1));
        }

        var handle = piece.Handle;
        SafeFileHandle? exported = null;
        var failure = DriverFailure.Of(() => exported = memory.Export(handle));
        if (failure is not null)
        {
            descriptors.Return(1);
            return failure;
        }

        piece.Descriptor = exported;
        owner.CountDescriptors(1);
        return null;
    }

    private bool TryKeepDescriptor(PoolAccount owner, SafeFileHandle offered, ref MemoryPiece piece, out DriverFailure? failure)
    {
        failure = null;
        if (!descriptors.TryTake(1))
        {
            failure = new DriverFailure("fcntl(F_DUPFD_CLOEXEC)", DriverCode.OperatingSystem, descriptors.Explain(1));
            return false;
        }

        if (!FileDescriptors.TryDuplicateHigh(offered, out var own, out var problem))
        {
            descriptors.Return(1);
            failure = new DriverFailure("fcntl(F_DUPFD_CLOEXEC)", DriverCode.OperatingSystem, problem);
            return false;
        }

        piece.Descriptor = own;
        owner.CountDescriptors(1);
        return true;
    }
}
