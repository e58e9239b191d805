using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.DeviceCheck.Checks;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Pools;
using Kvcached.Gpu.Tests.Support;

namespace Kvcached.Gpu.Tests.Pools;

/// <summary>Refusals, the clock, and threads: what needs no second backend to be shown.</summary>
public sealed class PagePoolTests : IDisposable
{
    private const int Page = 4096;
    private static readonly HostRig Rig = new(Page);
    private static readonly PoolId Id = PoolId.Create(1, 1);

    private readonly ManualTime _time = new();
    private readonly FaultInjectingVirtualMemory _memory = Rig.Open();
    private readonly FileDescriptorBudget _descriptors = new(8);
    private readonly PagePool _pool;

    public PagePoolTests() => _pool = Create(64);

    public void Dispose()
    {
        _memory.Heal();
        _pool.Dispose();
        var left = _memory.Live;
        _memory.Dispose();
        Assert.Equal(default, left);
        Assert.Equal(0, _descriptors.UsedCount);
    }

    [Fact]
    public void Open_Twice_IsTheSamePool()
    {
        var geometry = PoolBench.Geometry(Rig, KvLayout.Grouped);
        var first = Assert.IsType<OpenRankPoolResult.Opened>(_pool.Open(Id, geometry, 0, 6 * Page)).Pool;
        Assert.Same(first, Assert.IsType<OpenRankPoolResult.Opened>(_pool.Open(Id, PoolBench.Geometry(Rig, KvLayout.Grouped), 0, 6 * Page)).Pool);
        Assert.Equal(OpenRefusal.OtherGeometry, Refusal(_pool.Open(Id, PoolBench.Geometry(Rig, KvLayout.PerLayer), 0, 0)));
        Assert.Equal(OpenRefusal.OtherGeometry, Refusal(_pool.Open(Id, geometry, 0, 0, isMappedHere: false)));
        Assert.True(_pool.TryGet(Id, out var found));
        Assert.Same(first, found);
    }

    [Fact]
    public void Open_Senseless_IsRefusedAndLeavesNothing()
    {
        var geometry = PoolBench.Geometry(Rig, KvLayout.Contiguous);
        Assert.Equal(OpenRefusal.InvalidGeometry, Refusal(_pool.Open(Id, geometry with { VirtualPageCounts = [0, 1] }, 0, 0)));
        Assert.Equal(OpenRefusal.InvalidGeometry, Refusal(_pool.Open(Id, geometry with { Layout = (KvLayout)9 }, 0, 0)));
        Assert.Equal(OpenRefusal.InvalidRank, Refusal(_pool.Open(Id, geometry, 1, 0)));
        Assert.Equal(OpenRefusal.InvalidRank, Refusal(_pool.Open(Id, geometry, -1, 0)));
        Assert.Equal(OpenRefusal.InvalidRank, Refusal(_pool.Open(Id, geometry with { Ranks = [geometry.Ranks[0] with { Gpu = GpuId.Parse("HOST-7") }] }, 0, 0)));
        Assert.Equal(OpenRefusal.InvalidFloor, Refusal(_pool.Open(Id, geometry, 0, -1)));
        Assert.Equal(OpenRefusal.InvalidFloor, Refusal(_pool.Open(Id, geometry, 0, 65 * Page)));
        Assert.Equal(default, _memory.Live);
        Assert.Empty(_pool.Snapshot().Pools);
    }

    [Fact]
    public void Open_FloorsAboveTheCapacity_AreRefused()
    {
        Open(1, floorPages: 40);
        Assert.Equal(OpenRefusal.FloorExceedsCapacity, Refusal(_pool.Open(PoolId.Create(1, 2), PoolBench.Geometry(Rig, KvLayout.Contiguous), 0, 25 * Page)));
        Assert.Single(_pool.Snapshot().Pools);
        Open(2, floorPages: 24);
        Assert.Equal(0, _pool.Snapshot().FreeBytes);
    }

    [Fact]
    public void Open_DeviceIsShortForTheFloor_IsRefusedAndLeavesNothing()
    {
        _memory.FailNth(VirtualMemoryOperation.Create, 3, DriverCode.OutOfMemory);
        Assert.Equal(OpenRefusal.OutOfMemory, Refusal(_pool.Open(Id, PoolBench.Geometry(Rig, KvLayout.PerLayer), 0, 12 * Page)));
        Assert.Equal(default, _memory.Live);
        Assert.Empty(_pool.Snapshot().Pools);
    }

    [Fact]
    public void TrySetFloor_UpAndDown_CreatesAndReleases()
    {
        var pool = Open(1);
        Open(2, floorPages: 20);
        Assert.True(_pool.TrySetFloor(pool.Id, 44 * Page, out _));
        Assert.Equal(44 * Page, SnapshotOf(pool).StockBytes);
        Assert.False(_pool.TrySetFloor(pool.Id, 45 * Page, out var refused));
        Assert.Equal(OpenRefusal.FloorExceedsCapacity, refused.Reason);
        Assert.True(_pool.TrySetFloor(pool.Id, 0, out _));
        Assert.Equal(0, SnapshotOf(pool).StockBytes);
        Assert.False(_pool.TrySetFloor(PoolId.Create(9, 9), 0, out refused));
        Assert.Equal(OpenRefusal.NotFound, refused.Reason);
    }

    [Theory]
    [InlineData(0, 1, 1, 1u)]
    [InlineData(0, 64, 0, 1u)]
    [InlineData(0, 32, 6, 1u)]
    [InlineData(0, -2, 1, 1u)]
    [InlineData(1, 32, 0, 1u)]
    [InlineData(2, 0, 0, 1u)]
    [InlineData(-1, 0, 0, 1u)]
    [InlineData(0, 0, 31, 1u)]
    [InlineData(0, 0, 200, 1u)]
    [InlineData(0, 1 << 30, 30, 1u)]
    [InlineData(0, 0, 0, 0u)]
    public void TryMap_ExtentThatMakesNoSense_IsRefusedAndNothingIsClaimed(int group, int first, int order, uint generation)
    {
        var pool = Open(1);
        var refused = Assert.IsType<MapResult.Refused>(pool.TryMap([Extent(0, 0), new Extent(group, new PageId(first), (byte)order, generation)]));
        Assert.Equal(MapRefusal.InvalidExtent, refused.Reason);
        Assert.Equal(0, _memory.Live.HandleCount);
        Assert.IsType<MapResult.Mapped>(pool.TryMap([Extent(0, 0)]));
    }

    [Fact]
    public void TryMap_Overlap_IsRefusedAndNothingIsClaimed()
    {
        var pool = Open(1);
        Assert.IsType<MapResult.Mapped>(pool.TryMap([Extent(4, 2)]));
        foreach (var extents in (Extent[][])[[Extent(4, 2)], [Extent(5, 0)], [Extent(0, 3)], [Extent(0, 0), Extent(0, 1)], [Extent(0, 0), Extent(0, 0)]])
        {
            Assert.Equal(MapRefusal.Overlap, Assert.IsType<MapResult.Refused>(pool.TryMap(extents)).Reason);
        }

        Assert.IsType<MapResult.Mapped>(pool.TryMap([Extent(0, 1), Extent(2, 1)]));
        Assert.Equal(3, pool.MappedExtents.Length);
    }

    [Fact]
    public void TryMap_Nothing_IsMapped() => Assert.IsType<MapResult.Mapped>(Open(1).TryMap([]));

    [Fact]
    public void Unmap_AnotherGenerationOrTwice_TouchesNothing()
    {
        var pool = Open(1);
        Assert.IsType<MapResult.Mapped>(pool.TryMap([Extent(0, 0)]));
        var result = pool.Unmap([Extent(0, 0) with { Generation = 2 }, Extent(1, 0)], keep: false);
        Assert.Equal(2, result.NotMapped.Length);
        Assert.Single(pool.MappedExtents);
        result = pool.Unmap([Extent(0, 0), Extent(0, 0)], keep: false);
        Assert.Equal((1, 1), (result.Unmapped.Length, result.NotMapped.Length));
    }

    [Fact]
    public void TrimKept_AfterTheDecayTime_ReleasesWhatIsAboveTheFloor()
    {
        var pool = Open(1, floorPages: 6);
        pool.TryMap([Extent(0, 0), Extent(1, 0), Extent(2, 0)]);
        pool.Unmap([Extent(0, 0)], keep: true);
        _time.Advance(TimeSpan.FromSeconds(9));
        pool.Unmap([Extent(1, 0), Extent(2, 0)], keep: true);
        Assert.Equal(0, _pool.TrimKept());
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(6 * Page, _pool.TrimKept());
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(6 * Page, _pool.TrimKept());
        Assert.Equal(6 * Page, SnapshotOf(pool).KeptBytes);
        _time.Advance(TimeSpan.FromDays(1));
        Assert.Equal(0, _pool.TrimKept());
    }

    [Fact]
    public void KeepWithin_LessRoom_ReleasesWhatIsKeptAboveFloors_AndKeepsToIt()
    {
        var (floored, other) = (Open(1, floorPages: 6), Open(2));
        floored.TryMap([Extent(0, 0)]);
        floored.Unmap([Extent(0, 0)], keep: true);
        other.TryMap([Extent(0, 0), Extent(1, 0)]);
        other.Unmap([Extent(0, 0)], keep: true);

        Assert.Equal(6 * Page, _pool.KeepWithin(6 * Page));
        Assert.Equal((6 * Page, 6 * Page, 0), (SnapshotOf(floored).KeptBytes, SnapshotOf(other).MappedBytes, SnapshotOf(other).KeptBytes));

        // Nothing mapped goes, and nothing is refused; but what comes back isn't kept beside what is created.
        Assert.IsType<MapResult.Mapped>(other.TryMap([Extent(2, 0)]));
        other.Unmap([Extent(1, 0)], keep: true);
        Assert.IsType<MapResult.Mapped>(floored.TryMap([Extent(0, 0), Extent(1, 0)]));
        Assert.Equal(0, SnapshotOf(other).KeptBytes);
        Assert.Equal(0, _pool.KeepWithin(long.MaxValue));
    }

    [Fact]
    public void TryMap_NeedsWhatOthersKeep_TakesWhatIsIdleLongest()
    {
        var (first, second, third) = (Open(1), Open(2), Open(3));
        foreach (var pool in (RankPool[])[second, first])
        {
            pool.TryMap([Extent(0, 2)]);
            pool.Unmap([Extent(0, 2)], keep: true);
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.IsType<MapResult.Mapped>(third.TryMap([Extent(0, 2)]));
        Assert.Equal((24 * Page, 0, 24 * Page), (SnapshotOf(first).KeptBytes, SnapshotOf(second).KeptBytes, SnapshotOf(third).MappedBytes));
        Assert.IsType<MapResult.Mapped>(second.TryMap([Extent(0, 2)]));
        Assert.Equal(0, SnapshotOf(first).KeptBytes);
    }

    [Fact]
    public void Unmap_KeepingMoreThanAllowed_ReleasesTheOldest()
    {
        using var memory = Rig.Open();
        using var small = new PagePool(memory, new PagePoolOptions { CapacityBytes = 64 * Page, MaxKeptBytesPerPool = 13 * Page }, _time, _descriptors);
        var pool = Assert.IsType<OpenRankPoolResult.Opened>(small.Open(Id, PoolBench.Geometry(Rig, KvLayout.Contiguous), 0, 0)).Pool;
        pool.TryMap([Extent(0, 0), Extent(1, 0), Extent(2, 0)]);
        pool.Unmap([Extent(0, 0), Extent(1, 0), Extent(2, 0)], keep: true);
        Assert.Equal(12 * Page, small.Snapshot().Pools[0].KeptBytes);
        Assert.Equal(12 * Page, memory.Live.HandleBytes);
    }

    [Fact]
    public void TryExport_BeyondTheBudget_IsRefusedClearlyAndOpensNothing()
    {
        var pool = Open(1, layout: KvLayout.PerLayer);
        pool.TryMap([Extent(0, 0), Extent(1, 0)]);
        Assert.True(pool.TryExport(Extent(0, 0), out var descriptors));
        descriptors.ToList().ForEach(d => d.Dispose());
        var before = ProcessCounts.Now();
        Assert.False(pool.TryExport(Extent(1, 0), out descriptors, out var problem));
        Assert.Empty(descriptors);
        Assert.Contains("Raise the limit of open files", problem, StringComparison.Ordinal);
        Assert.Equal(before.DescriptorCount + 2, ProcessCounts.Now().DescriptorCount);
        pool.Unmap([Extent(0, 0)], keep: false);
        Assert.True(pool.TryExport(Extent(1, 0), out descriptors));
        descriptors.ToList().ForEach(d => d.Dispose());
    }

    [Fact]
    public async Task Snapshot_WhileADriverCallHangs_AnswersAndOtherPoolsGoOn()
    {
        var (stuck, other) = (Open(1), Open(2));
        using var hanging = _memory.HangNth(VirtualMemoryOperation.SetAccess, 1);
        var call = Task.Run(() => stuck.TryMap([Extent(0, 0)]));
        await hanging.Reached;
        Assert.Equal(6 * Page, SnapshotOf(stuck).PendingBytes);
        Assert.Empty(stuck.MappedExtents);
        Assert.IsType<MapResult.Mapped>(other.TryMap([Extent(0, 0)]));
        Assert.Single(other.Unmap([Extent(0, 0)], keep: false).Unmapped);
        hanging.Release();
        Assert.IsType<MapResult.Mapped>(await call);
    }

    [Fact]
    public void Quarantine_HeldExtents_StayUntilToldOtherwise()
    {
        var pool = Open(1);
        pool.TryMap([Extent(0, 0), Extent(1, 0)]);
        Assert.Equal(Extent(0, 0), Assert.Single(pool.Quarantine([Extent(0, 0), Extent(5, 0)])));
        Assert.Equal((6 * Page, 6 * Page), (SnapshotOf(pool).MappedBytes, SnapshotOf(pool).QuarantinedBytes));
        Assert.Empty(pool.RetryQuarantined().Recovered);
        Assert.Null(Assert.Single(pool.QuarantinedExtents).Call);
        Assert.Equal(MapRefusal.Overlap, Assert.IsType<MapResult.Refused>(pool.TryMap([Extent(0, 0) with { Generation = 2 }])).Reason);
        Assert.Single(pool.Unmap([Extent(0, 0)], keep: false).Unmapped);
        Assert.IsType<MapResult.Mapped>(pool.TryMap([Extent(0, 0) with { Generation = 2 }]));
    }

    [Fact]
    public void TryGetHostSpan_OnlyWithinAMappedExtent_GivesItsBytes()
    {
        var pool = Open(1, layout: KvLayout.PerLayer);
        pool.TryMap([Extent(2, 1)]);
        var unit = pool.Layout.UnitsOf(0)[3];
        var start = unit.OffsetOf(Extent(2, 1));
        Assert.True(pool.TryGetHostSpan(start, 2 * Page, out var bytes));
        bytes.Fill(9);
        Assert.Equal(9, Rig.Read(pool.BaseAddress + (nint)start + (2 * Page) - 1, 1)[0]);
        Assert.False(pool.TryGetHostSpan(start, (2 * Page) + 1, out _));
        Assert.False(pool.TryGetHostSpan(start - 1, 2, out _));
        Assert.False(pool.TryGetHostSpan(-1, 1, out _));
        Assert.False(pool.TryGetHostSpan(pool.Layout.ByteCount, 1, out _));
        pool.Unmap([Extent(2, 1)], keep: true);
        Assert.False(pool.TryGetHostSpan(start, 1, out _));
    }

    [Fact]
    public void PagePool_CapacityAboveTheDevice_IsRefused()
    {
        Assert.Throws<ArgumentException>(() => new PagePool(_memory, new PagePoolOptions { CapacityBytes = _memory.TotalBytes + 1 }, _time));
        Assert.Throws<ArgumentException>(() => new PagePool(_memory, new PagePoolOptions { CapacityBytes = 0 }, _time));
        Assert.Throws<ArgumentException>(() => new PagePool(_memory, new PagePoolOptions { CapacityBytes = Page, FloorExtentPageCount = 3 }, _time));
        Assert.Throws<ArgumentException>(() => new PagePool(_memory, new PagePoolOptions { CapacityBytes = Page, KeptDecay = -TimeSpan.FromSeconds(1) }, _time));
    }

    [Fact]
    public async Task Pools_UsedByManyThreads_NeverExceedTheCapacityAndBalance()
    {
        var pools = Enumerable.Range(1, 4).Select(i => Open(i, floorPages: i == 1 ? 6 : 0)).ToList();
        var excess = 0L;
        await Parallel.ForEachAsync(Enumerable.Range(0, 8), async (worker, _) =>
        {
            await Task.Yield();
            var pool = pools[worker % pools.Count];
            for (var round = 1u; round <= 150; round++)
            {
                var extent = new Extent(worker / 4, new PageId(0), (byte)(round % 3), round);
                if (pool.TryMap([extent]) is MapResult.Mapped)
                {
                    Interlocked.Exchange(ref excess, Math.Max(excess, _memory.Live.HandleBytes - _pool.CapacityBytes));
                    pool.Unmap([extent], keep: round % 2 == 0);
                }

                _pool.TrimKept();
                _pool.RefillFloors();
            }
        });
        Assert.Equal(0, excess);
        Assert.Equal(_memory.Live.HandleBytes, _pool.Snapshot().HeldBytes);
        Assert.Equal(0, _pool.Snapshot().Pools.Sum(p => p.MappedBytes + p.PendingBytes + p.QuarantinedBytes));
    }

    private static OpenRefusal Refusal(OpenRankPoolResult result) => Assert.IsType<OpenRankPoolResult.Refused>(result).Reason;

    private static Extent Extent(int first, byte order) => new(0, new PageId(first), order, 1);

    private PagePool Create(int capacityPages) => new(_memory, new PagePoolOptions { CapacityBytes = capacityPages * Page }, _time, _descriptors);

    private RankPool Open(int serial, int floorPages = 0, KvLayout layout = KvLayout.Contiguous) =>
        Assert.IsType<OpenRankPoolResult.Opened>(_pool.Open(PoolId.Create(1, serial), PoolBench.Geometry(Rig, layout), 0, floorPages * Page)).Pool;

    private RankPoolSnapshot SnapshotOf(RankPool pool) => _pool.Snapshot().Pools.Single(p => p.Pool == pool.Id);
}
