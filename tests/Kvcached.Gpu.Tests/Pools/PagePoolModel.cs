using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.DeviceCheck.Checks;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Pools;
using Kvcached.Gpu.Tests.Support;

namespace Kvcached.Gpu.Tests.Pools;

/// <summary>
/// Three pools of different layouts on one GPU, and what must be true of them after each step. Every byte that a pool writes says
/// whose it is, so memory that changes hands, or is mapped twice, shows.
/// </summary>
internal sealed class PagePoolModel : IDisposable
{
    private const int Page = 4096;
    private const int CapacityPages = 60;
    private static readonly HostRig Rig = new(Page);

    private readonly bool _isDriverFailing;
    private readonly ManualTime _time = new();
    private readonly FaultInjectingVirtualMemory _memory = Rig.Open();
    private readonly FileDescriptorBudget _descriptors = new(1000);
    private readonly PagePool _pool;
    private readonly RankPool[] _pools = new RankPool[3];
    private readonly Dictionary<Extent, byte>[] _marks = [[], [], []];
    private readonly long[] _floors = new long[3];
    private uint _generation;
    private byte _lastMark;

    private PagePoolModel(bool isDriverFailing)
    {
        _isDriverFailing = isDriverFailing;
        _pool = new PagePool(_memory, new PagePoolOptions { CapacityBytes = CapacityPages * Page, FloorExtentPageCount = 2 }, _time, _descriptors);
        for (var i = 0; i < _pools.Length; i++)
        {
            Open(i);
        }
    }

    internal static void Run(Step[] steps, bool isDriverFailing)
    {
        var before = ProcessCounts.Now();
        using (var model = new PagePoolModel(isDriverFailing))
        {
            foreach (var step in steps)
            {
                model.Do(step);
                model.Check();
            }

            model.Heal();
        }

        Assert.Equal(before, ProcessCounts.Now());
    }

    public void Dispose()
    {
        _pool.Dispose();
        var left = _memory.Live;
        _memory.Dispose();
        Assert.Equal(default, left);
        Assert.Equal(0, _descriptors.UsedCount);
    }

    private void Do(Step step)
    {
        switch (step.Action)
        {
            case < 5:
                Map(step.Pool, step.Page, (byte)step.Order, isLatent: step.Flag);
                break;
            case < 8:
                Unmap(step.Pool, step.Page, keep: step.Flag);
                break;
            case 8:
                _time.Advance(TimeSpan.FromSeconds(step.Page));
                _pool.TrimKept();
                break;
            case 9 when !_isDriverFailing:
                SetFloor(step.Pool, step.Page % 30 * Page);
                break;
            case 10:
                _pool.RefillFloors();
                break;
            case 11:
                Export(step.Pool, step.Page);
                break;
            case 12 when _isDriverFailing:
                _memory.FailNth(null, 1 + step.Page, DriverCode.Unknown);
                break;
            case 13 when _isDriverFailing && step.Flag:
                Heal();
                break;
            case 13:
                Reopen(step.Pool);
                break;
        }
    }

    private void Map(int index, int page, byte order, bool isLatent)
    {
        var virtualPages = isLatent ? PoolBench.LatentVirtualPages : PoolBench.FullVirtualPages;
        var extent = new Extent(isLatent ? 1 : 0, new PageId(page % virtualPages >> order << order), order, ++_generation);
        var bytes = _pools[index].Layout.BytesOf(extent);
        var isTaken = _marks[index].Keys.Any(e => e.Overlaps(extent)) || _pools[index].QuarantinedExtents.Any(q => q.Extent.Overlaps(extent));
        var hasRoom = Enumerable.Range(0, 3).Sum(i => Math.Max(_floors[i], InUse(i) + (i == index ? bytes : 0))) <= CapacityPages * Page;
        var result = _pools[index].TryMap([extent]);
        Assert.Equal(isTaken, result is MapResult.Refused);
        if (!_isDriverFailing)
        {
            Assert.Equal(!isTaken && hasRoom, result is MapResult.Mapped);
        }

        if (result is MapResult.Mapped)
        {
            Assert.True(hasRoom);
            var owners = Owners(index, extent);
            Assert.True(owners.All(o => o == 0 || o % 3 == index), $"{extent} of pool {index} got memory with the marks {string.Join(", ", owners)}");
            Mark(index, extent);
        }
    }

    private void Unmap(int index, int which, bool keep)
    {
        var extents = _marks[index].Keys.Skip(which % 4).Take(1 + (which % 3)).ToArray();
        var result = _pools[index].Unmap(extents, keep);
        Assert.Equal(extents.Length, result.Unmapped.Length + result.Quarantined.Length);
        Assert.True(_isDriverFailing || result.Quarantined.IsEmpty);
        extents.ToList().ForEach(e => _marks[index].Remove(e));
    }

    private void SetFloor(int index, long bytes)
    {
        var hasRoom = Enumerable.Range(0, 3).Sum(i => Math.Max(i == index ? bytes : _floors[i], InUse(i))) <= CapacityPages * Page;
        Assert.Equal(hasRoom, _pool.TrySetFloor(_pools[index].Id, bytes, out _));
        _floors[index] = hasRoom ? bytes : _floors[index];
    }

    private void Export(int index, int which)
    {
        if (_marks[index].Keys.Skip(which % 4).FirstOrDefault() is { Generation: > 0 } extent && _pools[index].TryExport(extent, out var descriptors))
        {
            Assert.Equal(_pools[index].Layout.UnitsOf(extent.Group).Length, descriptors.Length);
            descriptors.ToList().ForEach(d => d.Dispose());
        }
    }

    private void Reopen(int index)
    {
        if (_isDriverFailing)
        {
            _memory.Heal();
        }

        Assert.IsType<CloseResult.Closed>(_pool.Close(_pools[index].Id));
        _marks[index].Clear();
        _floors[index] = 0;
        Open(index);
    }

    private void Heal()
    {
        _memory.Heal();
        foreach (var pool in _pools)
        {
            pool.RetryQuarantined();
        }

        Assert.Equal(0, _pool.Snapshot().Pools.Sum(p => p.QuarantinedBytes));
    }

    /// <summary>What must hold after every step, whatever happened.</summary>
    private void Check()
    {
        var snapshot = _pool.Snapshot();
        Assert.True(snapshot.HeldBytes <= snapshot.CapacityBytes);
        Assert.Equal(_memory.Live.HandleBytes, snapshot.HeldBytes);
        Assert.Equal(_memory.Live.HandleCount, snapshot.Pools.Sum(p => p.HandleCount));
        Assert.Equal(_descriptors.UsedCount, snapshot.Pools.Sum(p => p.DescriptorCount));
        for (var i = 0; i < _pools.Length; i++)
        {
            var mine = snapshot.Pools.Single(p => p.Pool == _pools[i].Id);
            Assert.Equal(_marks[i].Keys.ToHashSet(), _pools[i].MappedExtents.ToHashSet());
            Assert.Equal(_marks[i].Keys.Sum(e => _pools[i].Layout.BytesOf(e)), mine.MappedBytes);
            Assert.Equal((_floors[i], 0), (mine.FloorBytes, mine.PendingBytes));
            Assert.True(mine.StockBytes <= Math.Max(0, mine.FloorBytes - mine.MappedBytes - mine.KeptBytes - mine.QuarantinedBytes));
            Assert.All(_marks[i], m => Assert.All(Owners(i, m.Key), o => Assert.Equal(m.Value, o)));
        }
    }

    private void Open(int index)
    {
        var id = PoolId.Create(++_generation, index);
        var result = _pool.Open(id, PoolBench.Geometry(Rig, PoolBench.Layouts[index]), 0, 0);
        _pools[index] = Assert.IsType<OpenRankPoolResult.Opened>(result).Pool;
    }

    /// <summary>Mapped and quarantined bytes: what kept memory doesn't make room for.</summary>
    private long InUse(int index)
    {
        var snapshot = _pool.Snapshot().Pools.Single(p => p.Pool == _pools[index].Id);
        return snapshot.MappedBytes + snapshot.QuarantinedBytes;
    }

    private void Mark(int index, Extent extent)
    {
        // Marks are never 0, and tell the pool by their remainder.
        _lastMark = (byte)((_lastMark + 3) % 240);
        var mark = (byte)(_lastMark + 3 + index);
        _marks[index][extent] = mark;
        foreach (var unit in _pools[index].Layout.UnitsOf(extent.Group))
        {
            Assert.True(_pools[index].TryGetHostSpan(unit.OffsetOf(extent), (int)unit.BytesOf(extent), out var bytes));
            bytes.Fill(mark);
        }
    }

    /// <summary>The marks found in an extent, each once.</summary>
    private List<byte> Owners(int index, Extent extent)
    {
        var marks = new HashSet<byte>();
        foreach (var unit in _pools[index].Layout.UnitsOf(extent.Group))
        {
            Assert.True(_pools[index].TryGetHostSpan(unit.OffsetOf(extent), (int)unit.BytesOf(extent), out var bytes));
            while (!bytes.IsEmpty)
            {
                marks.Add(bytes[0]);
                var rest = bytes.IndexOfAnyExcept(bytes[0]);
                bytes = rest < 0 ? [] : bytes[rest..];
            }
        }

        return [.. marks];
    }

    /// <summary>One random step; what its numbers mean depends on the action.</summary>
    internal sealed record Step(int Action, int Pool, int Page, int Order, bool Flag);
}
