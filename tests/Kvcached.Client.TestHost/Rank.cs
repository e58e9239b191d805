using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.TestHost;

/// <summary>One rank of a pool: the memory that it lends, and the worker that maps it.</summary>
internal sealed class Rank(IVirtualMemory memory, PoolGeometry geometry, int index)
{
    private readonly ArenaLayout _layout = ArenaLayout.Create(geometry, index);
    private readonly Dictionary<Extent, (LentExtent Lent, MemoryHandle[] Handles)> _lent = [];
    private readonly PageTable _table = new(geometry.VirtualPageCounts);
    private readonly Dictionary<long, (LayoutDigest Digest, Action<string?> Done)> _underWay = [];
    private long _serial;
    private long _operation;

    public Peer? Worker { get; set; }

    public long LentBytes => _lent.Keys.Sum(extent => _layout.BytesOf(extent));

    /// <summary>Has the worker map everything that the pool holds.</summary>
    public void Install(Action<string?> done)
    {
        _operation = 0;
        _underWay.Clear();
        var extents = _lent.Values.Select(lent => lent.Lent).ToArray();
        Operate(WorkerOperationKind.Install, extents, EngineStep.None, done);
    }

    /// <summary>Creates memory for extents and has the worker map it. False when there is too little.</summary>
    public bool TryMap(IReadOnlyList<Extent> extents, Action<string?> done)
    {
        foreach (var extent in extents)
        {
            var handles = new List<MemoryHandle>();
            foreach (var unit in _layout.UnitsOf(extent.Group))
            {
                if (!memory.TryCreate(unit.BytesOf(extent), out var handle))
                {
                    handles.ForEach(memory.Release);
                    Release(extents);
                    return false;
                }

                handles.Add(handle);
            }

            _table.Add(extent);
            _lent.Add(extent, (new LentExtent(extent, new ExtentIdentity(new HostIncarnation(1), ++_serial, extent.Generation)), [.. handles]));
        }

        Operate(WorkerOperationKind.Map, [.. extents.Select(extent => _lent[extent].Lent)], EngineStep.None, done);
        return true;
    }

    /// <summary>True for an extent that is in the table: granted, and not on its way out.</summary>
    public bool Holds(Extent extent) => _table.Contains(extent);

    /// <summary>Has the worker unmap extents behind a fence, then gives their memory up.</summary>
    public void Unmap(IReadOnlyList<Extent> extents, EngineStep fence, Action<string?> done)
    {
        LentExtent[] lent = [.. extents.Select(extent => _lent[extent].Lent)];
        foreach (var extent in extents)
        {
            _table.Remove(extent);
        }

        if (Worker is null)
        {
            Release(extents);
            done(null);
            return;
        }

        Operate(WorkerOperationKind.Unmap, lent, fence, problem =>
        {
            Release(extents);
            done(problem);
        });
    }

    /// <summary>Gives memory of extents up.</summary>
    public void Release(IEnumerable<Extent> extents)
    {
        foreach (var extent in extents.ToArray())
        {
            if (_lent.Remove(extent, out var lent))
            {
                _table.Remove(extent);
                Array.ForEach(lent.Handles, memory.Release);
            }
        }
    }

    public void ReleaseAll() => Release(_lent.Keys);

    /// <summary>The worker's answer: its table must be this rank's.</summary>
    public void Answered(WorkerProtocol.OperationDone answer)
    {
        if (_underWay.Remove(answer.Operation, out var expected))
        {
            expected.Done(answer.Refusal?.ToString() ?? (answer.Digest == expected.Digest ? null : $"rank {index} has another table"));
        }
    }

    private void Operate(WorkerOperationKind kind, LentExtent[] extents, EngineStep fence, Action<string?> done)
    {
        _underWay.Add(++_operation, (_table.Digest, done));
        SafeFileHandle[] descriptors = kind == WorkerOperationKind.Unmap
            ? []
            : [.. extents.SelectMany(extent => _lent[extent.Extent].Handles).Select(memory.Export)];
        Worker?.Say(new WorkerProtocol.Operate(_operation, kind, new Epoch(1, 1), _operation, fence, [.. extents], []), descriptors);
        Array.ForEach(descriptors, descriptor => descriptor.Dispose());
    }
}
