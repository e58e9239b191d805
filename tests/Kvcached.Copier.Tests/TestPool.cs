using System.Collections.Immutable;
using Kvcached.Core.Checking;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Copier.Tests;

/// <summary>A host's side of a pool: its own memory, mapped in this process at its own addresses, and lent by descriptor.</summary>
internal sealed class TestPool : IDisposable
{
    public const int PageBytes = 16 * 1024;

    public static readonly GpuId Gpu = GpuId.Parse("HOST-7");

    private readonly HostVirtualMemory _memory = new(new HostVirtualMemoryOptions { Gpu = Gpu, GranularityBytes = 4096, CapacityBytes = 1 << 28 });
    private readonly AddressReservation _reservation;
    private readonly List<SafeFileHandle> _descriptors = [];
    private readonly Dictionary<Extent, IReadOnlyList<SafeFileHandle>> _lent = [];

    public TestPool(PoolGeometry geometry, int rank = 0, long id = 1)
    {
        Geometry = geometry;
        Rank = rank;
        Id = new PoolId(id);
        Layout = ArenaLayout.Create(geometry, rank);
        _reservation = _memory.Reserve(Layout.ByteCount);
    }

    public PoolId Id { get; }

    public int Rank { get; }

    public PoolGeometry Geometry { get; }

    public ArenaLayout Layout { get; }

    /// <summary>Two groups: one whose blocks divide the page, one whose blocks don't and are no whole number of words.</summary>
    public static PoolGeometry GeometryOf(KvLayout layout, int layers = 3) => new(
        layout, layout == KvLayout.Grouped ? 2 : 0, [32, 8],
        [
            new RankShape(
                Gpu,
                [
                    new KvGroupShape("full", KvGroupKind.MultiHead, 16, layers, 2, 8192, PageBytes),
                    new KvGroupShape("state", KvGroupKind.State, 0, layers, 1, 5001, PageBytes),
                ]),
        ]);

    /// <summary>Creates and maps an extent here, and returns a descriptor per mapping unit; they are closed with the pool.</summary>
    public IReadOnlyList<SafeFileHandle> Lend(Extent extent)
    {
        var first = _descriptors.Count;
        foreach (var unit in Layout.UnitsOf(extent.Group))
        {
            var bytes = unit.BytesOf(extent);
            Assert.True(_memory.TryCreate(bytes, out var handle));
            _memory.Map(_reservation.BaseAddress + (nint)unit.OffsetOf(extent), bytes, 0, handle);
            _memory.SetAccess(_reservation.BaseAddress + (nint)unit.OffsetOf(extent), bytes, MemoryAccess.ReadWrite);
            _descriptors.Add(_memory.Export(handle));
        }

        return _lent[extent] = _descriptors[first..];
    }

    /// <summary>The descriptors of an extent that was lent before.</summary>
    public IReadOnlyList<SafeFileHandle> Lent(Extent extent) => _lent[extent];

    /// <summary>The bytes of one layer and buffer of a block, as this process has them mapped.</summary>
    public unsafe Span<byte> BytesOf(int group, BlockId block, int layer, int buffer) => new(
        (void*)(_reservation.BaseAddress + (nint)Layout.OffsetOf(group, block, layer, buffer)), (int)Layout.ShapeOf(group).BlockBytes);

    /// <summary>The bytes of one mapping unit of an extent, as this process has them mapped.</summary>
    public unsafe Span<byte> BytesOf(MappingUnit unit, Extent extent) =>
        new((void*)(_reservation.BaseAddress + (nint)unit.OffsetOf(extent)), (int)unit.BytesOf(extent));

    /// <summary>Stamps for all usable blocks of an extent, every third of them whole.</summary>
    public ImmutableArray<BlockStamp> StampsOf(Extent extent, uint version)
    {
        var slots = Geometry.SlotsOf(extent.Group);
        var blocks = Enumerable.Range(extent.First.Value, extent.PageCount)
            .SelectMany(p => Enumerable.Range(slots.FirstBlockOf(new PageId(p)), slots.BlockCountOf(new PageId(p))));
        return [.. blocks.Select((b, i) => new BlockStamp(new BlockId(b), version, i % 3 == 0))];
    }

    /// <summary>Compares all layers and buffers of the blocks here, with the words of the given pool and rank.</summary>
    public (long Words, long Mismatches) VerifyHere(int group, IEnumerable<BlockStamp> stamps)
    {
        var key = StampKey.Of(Id, Rank, group);
        var shape = Layout.ShapeOf(group);
        long words = 0, mismatches = 0;
        foreach (var stamp in stamps)
        {
            for (var layer = 0; layer < shape.LayerCount; layer++)
            {
                for (var buffer = 0; buffer < shape.BufferCount; buffer++)
                {
                    var compared = StampVerifier.Verify(
                        BytesOf(group, stamp.Block, layer, buffer), key.LaneOf(stamp.Block, stamp.Version, layer, buffer), stamp.Whole);
                    words += compared.WordCount;
                    mismatches += compared.MismatchCount;
                }
            }
        }

        return (words, mismatches);
    }

    public void Dispose()
    {
        _descriptors.ForEach(d => d.Dispose());
        _memory.Dispose();
    }
}
