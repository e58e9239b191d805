using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Copier.SelfChecking;

/// <summary>A small pool of one rank whose memory this process creates itself, as a host would.</summary>
internal sealed class CheckedPool : IDisposable
{
    private readonly IVirtualMemory _memory;
    private readonly List<MemoryHandle> _created = [];

    public CheckedPool(IVirtualMemory memory, KvLayout layout)
    {
        _memory = memory;
        Id = PoolId.Create(1, (int)layout);
        var pageBytes = Math.Max(memory.GranularityBytes, 256 * 1024);
        Geometry = new PoolGeometry(
            layout, layout == KvLayout.Grouped ? 2 : 0, [16, 16],
            [
                new RankShape(
                    memory.Gpu,
                    [
                        new KvGroupShape("words", KvGroupKind.MultiHead, 16, 3, 2, 64 * 1024, pageBytes),
                        new KvGroupShape("odd", KvGroupKind.State, 0, 3, 1, 20_011, pageBytes),
                    ]),
            ]);
        Layout = ArenaLayout.Create(Geometry, 0);
    }

    public PoolId Id { get; }

    public PoolGeometry Geometry { get; }

    public ArenaLayout Layout { get; }

    /// <summary>Creates memory for an extent and exports it, one descriptor per mapping unit.</summary>
    public List<SafeFileHandle> Lend(Extent extent)
    {
        var descriptors = new List<SafeFileHandle>();
        foreach (var unit in Layout.UnitsOf(extent.Group))
        {
            if (!_memory.TryCreate(unit.BytesOf(extent), out var handle))
            {
                descriptors.ForEach(d => d.Dispose());
                throw new VirtualMemoryException(
                    VirtualMemoryOperation.Create, "TryCreate", DriverCode.OutOfMemory, _memory.Gpu, unit.BytesOf(extent));
            }

            _created.Add(handle);
            descriptors.Add(_memory.Export(handle));
        }

        return descriptors;
    }

    public void Dispose()
    {
        foreach (var handle in _created)
        {
            _memory.Release(handle);
        }

        _created.Clear();
    }
}
