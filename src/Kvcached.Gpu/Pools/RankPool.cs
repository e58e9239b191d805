using System.Collections.Immutable;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Pools;

/// <summary>
/// One pool's pages on one GPU. Safe for use by several threads: calls that need the driver take turns, questions are answered
/// at once, also while a driver call hangs.
/// </summary>
/// <remarks>
/// Where pages are used by a worker, nothing is mapped in this process: to map an extent is then to provide its memory for export.
/// </remarks>
public sealed partial class RankPool
{
    private readonly Lock _operations = new();
    private readonly MemoryStore _store;
    private readonly CapacityLedger _ledger;
    private readonly PagePoolOptions _options;
    private readonly TimeProvider _time;
    private readonly ExtentIndex _taken;
    private readonly Dictionary<Extent, ExtentMapping> _mapped = [];
    private readonly Dictionary<Extent, ExtentMapping> _quarantined = [];
    private AddressReservation? _arena;
    private bool _isClosing;

    internal RankPool(
        PoolAccount account, PoolGeometry geometry, int rank, AddressReservation? arena, MemoryStore store, CapacityLedger ledger, PagePoolOptions options, TimeProvider time)
    {
        Account = account;
        Geometry = geometry;
        Rank = rank;
        Layout = ArenaLayout.Create(geometry, rank);
        _taken = new ExtentIndex(Layout.GroupCount);
        _arena = arena;
        BaseAddress = arena?.BaseAddress ?? 0;
        IsMappedHere = arena is not null;
        _store = store;
        _ledger = ledger;
        _options = options;
        _time = time;
    }

    public PoolId Id => Account.Pool;

    public int Rank { get; }

    /// <summary>Bytes that are its own, used or not.</summary>
    public long FloorBytes => Account.FloorBytes;

    public PoolGeometry Geometry { get; }

    public ArenaLayout Layout { get; }

    /// <summary>Where the arena starts in this process; 0 where pages are mapped by a worker.</summary>
    public nint BaseAddress { get; }

    /// <summary>True when pages are mapped in this process, false when they are only provided for a worker.</summary>
    public bool IsMappedHere { get; }

    /// <summary>The extents that are mapped, in no order; quarantined ones are not among them.</summary>
    public ImmutableArray<Extent> MappedExtents
    {
        get
        {
            lock (_ledger.Gate)
            {
                return [.. _mapped.Keys];
            }
        }
    }

    /// <summary>The extents whose page ids are blocked, in no order.</summary>
    public ImmutableArray<QuarantinedExtent> QuarantinedExtents
    {
        get
        {
            lock (_ledger.Gate)
            {
                return [.. _quarantined.Values.Select(m => m.ToQuarantined())];
            }
        }
    }

    internal PoolAccount Account { get; }

    /// <summary>Names the memory behind a mapped extent; null when it isn't mapped in this generation.</summary>
    public ExtentIdentity? IdentityOf(in Extent extent)
    {
        lock (_ledger.Gate)
        {
            return _mapped.TryGetValue(extent, out var mapping) ? mapping.Identity : null;
        }
    }

    /// <summary>
    /// File descriptors of a mapped extent, one per mapping unit in the order of units, close-on-exec and above
    /// <see cref="FileDescriptors.HighestSelectable"/>; they are the caller's to close. False, with nothing opened, when the extent
    /// isn't mapped or a descriptor can't be had.
    /// </summary>
    public bool TryExport(in Extent extent, out ImmutableArray<SafeFileHandle> descriptors) => TryExport(extent, out descriptors, out _);

    /// <inheritdoc cref="TryExport(in Extent, out ImmutableArray{SafeFileHandle})"/>
    /// <param name="extent">The extent.</param>
    /// <param name="descriptors">Its descriptors; empty on failure.</param>
    /// <param name="problem">A sentence for people; empty on success.</param>
    public bool TryExport(in Extent extent, out ImmutableArray<SafeFileHandle> descriptors, out string problem)
    {
        lock (_operations)
        {
            ExtentMapping? mapping;
            lock (_ledger.Gate)
            {
                _mapped.TryGetValue(extent, out mapping);
            }

            if (mapping is null)
            {
                descriptors = [];
                problem = $"{extent} of {Id} isn't mapped.";
                return false;
            }

            var failure = _store.TryExport(mapping.Memory, out descriptors);
            problem = failure?.Text ?? string.Empty;
            return failure is null;
        }
    }

    /// <summary>
    /// The bytes of part of one mapped extent, on a backend whose memory the processor can reach. They may be used while the extent
    /// stays mapped. False when the range isn't within one mapping, or the memory is a GPU's.
    /// </summary>
    /// <param name="arenaOffset">Start within the arena, in bytes.</param>
    /// <param name="byteCount">Bytes, from 0.</param>
    /// <param name="bytes">The memory.</param>
    public bool TryGetHostSpan(long arenaOffset, int byteCount, out Span<byte> bytes)
    {
        bytes = default;
        if (!_store.Memory.IsHostAccessible || !IsMappedHere || arenaOffset < 0 || byteCount < 0)
        {
            return false;
        }

        lock (_ledger.Gate)
        {
            foreach (var unit in Layout.Units)
            {
                var within = arenaOffset - unit.ArenaOffset;
                if (within < 0 || within >= unit.ByteCount)
                {
                    continue;
                }

                if (!_taken.TryFind(unit.Group, new PageId((int)(within / unit.BytesPerPage)), out var extent) || !_mapped.ContainsKey(extent)
                    || within + byteCount > unit.BytesPerPage * extent.EndPage)
                {
                    return false;
                }

                bytes = HostSpan.At(BaseAddress + (nint)arenaOffset, byteCount);
                return true;
            }

            return false;
        }
    }

    internal RankPoolSnapshot ToSnapshot() => new(
        Id, Rank, Account.FloorBytes, Account.MappedBytes, Account.IdleBytes, Account.Stock.ByteCount, Account.QuarantinedBytes,
        Account.PendingBytes, _mapped.Count, _quarantined.Count, Account.HandleCount, Account.DescriptorCount, _isClosing);

    private long MicrosecondsSince(long start) => (long)_time.GetElapsedTime(start).TotalMicroseconds;
}
