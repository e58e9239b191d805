using Kvcached.Client.Arenas;
using Kvcached.Client.Tests.Support;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Fences;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;
using static Kvcached.Core.Workers.WorkerProtocol;

namespace Kvcached.Client.Tests.Arenas;

/// <summary>Memory that stays imported after its unmap: mapped again without importing, and let go of whenever the host, or its end, asks for it.</summary>
public sealed class KeptImportTests : IDisposable
{
    private readonly FaultInjectingVirtualMemory _driver =
        new(new HostVirtualMemory(new HostVirtualMemoryOptions { GranularityBytes = TestPool.PageBytes }), TimeProvider.System) { HidesFromProcessor = true };

    private readonly StepTracker _steps = new();
    private readonly ArenaMemory _arena;
    private readonly ArenaWork _work;
    private readonly Lender _lender;
    private readonly List<IMessage> _said = [];
    private readonly int _units;
    private long _operation;

    public KeptImportTests()
    {
        var geometry = TestPool.Spec().Geometry;
        _arena = new ArenaMemory(_driver, geometry, 0);
        _units = _arena.Layout.UnitsOf(0).Length;
        _work = new ArenaWork(_arena, _steps, new Synchronizer(ImmediateFences.Instance, _steps, () => { }), _said.Add);
        _lender = new Lender(ArenaLayout.Create(geometry, 0));
    }

    public void Dispose()
    {
        _driver.Heal();
        _work.Leave();
        _work.RetryStuck();
        Assert.Equal((0, 0), (_driver.Live.MappingCount, _driver.Live.HandleCount));
        Assert.True(_arena.TryFree());
        _lender.Dispose();
        _driver.Dispose();
    }

    [Fact]
    public void Retire_MapsTheSameMemoryAgainElsewhereWithoutImportingIt()
    {
        var extent = TestPool.Extent(0);
        var lent = Map(extent);
        _lender.View(extent, 0)[..4].Fill(7);
        Receive(WorkerOperationKind.Retire, [lent]);
        Assert.Equal(LayoutDigest.Empty, Last().Digest);
        Assert.Equal((0, _units), (_driver.Live.MappingCount, _driver.Live.HandleCount));
        Assert.Empty(_work.Held);

        var imports = _driver.CallCount(VirtualMemoryOperation.Import);
        var moved = lent with { Extent = TestPool.Extent(3, generation: 9), Identity = lent.Identity with { Generation = 9 } };
        Receive(WorkerOperationKind.Map, [moved], _lender.Descriptors(extent));
        Assert.Null(Last().Refusal);
        Assert.Equal(imports, _driver.CallCount(VirtualMemoryOperation.Import));
        Assert.Equal(_units, _driver.Live.MappingCount);
        Assert.Equal(7, ReadAt(moved.Extent));
    }

    [Fact]
    public void Retire_WaitsForItsFenceLikeAnUnmap()
    {
        var lent = Map(TestPool.Extent(0));
        Receive(WorkerOperationKind.Retire, [lent], fence: new EngineStep(3));
        Assert.Equal(_units, _driver.Live.MappingCount);
        _steps.Done(new EngineStep(3));
        _work.Pump();
        Assert.Equal((0, _units), (_driver.Live.MappingCount, _driver.Live.HandleCount));
    }

    [Fact]
    public void Retire_DriverKeepsTheMapping_IsStuckAndLeavesNoImport()
    {
        var lent = Map(TestPool.Extent(0));
        _driver.FailAll(VirtualMemoryOperation.Unmap, DriverCode.Unknown);
        Receive(WorkerOperationKind.Retire, [lent]);
        Assert.Equal(lent.Extent, Assert.Single(Last().Stuck));
        _driver.Heal();
        _work.RetryStuck();
        Assert.Equal(lent.Extent, Assert.Single(_said.OfType<StuckReleased>().Single().Extents));
        Assert.Equal((0, 0), (_driver.Live.MappingCount, _driver.Live.HandleCount));
    }

    [Fact]
    public void LetGo_ReleasesWhatIsKept_AndNamesWhatTheDriverKeeps()
    {
        var first = Map(TestPool.Extent(0));
        var second = Map(TestPool.Extent(1));
        Receive(WorkerOperationKind.Retire, [first, second]);
        Receive(WorkerOperationKind.LetGo, [first]);
        Assert.Empty(Last().Stuck);
        Assert.Equal(_units, _driver.Live.HandleCount);

        _driver.FailNth(VirtualMemoryOperation.Release, 1, DriverCode.Unknown);
        Receive(WorkerOperationKind.LetGo, [second]);
        Assert.Equal(second.Extent, Assert.Single(Last().Stuck));
        _driver.Heal();
        Receive(WorkerOperationKind.LetGo, [second]);
        Assert.Empty(Last().Stuck);
        Assert.Equal(0, _driver.Live.HandleCount);
    }

    [Fact]
    public void LetGo_OfAnOlderEpoch_IsCarriedOutAndChangesNoEpoch()
    {
        var lent = Map(TestPool.Extent(0));
        Receive(WorkerOperationKind.Retire, [lent]);
        _work.Receive(new Operate(++_operation, WorkerOperationKind.LetGo, default, 0, default, [lent], []), []);
        Assert.Null(Last().Refusal);
        Assert.Equal(0, _driver.Live.HandleCount);
        Assert.Equal(new Epoch(1, 1), _work.HighestEpoch);
    }

    [Fact]
    public void RefusedMap_LetsGoOfItsImportsToo()
    {
        var lent = Map(TestPool.Extent(0));
        var other = Map(TestPool.Extent(1));
        Receive(WorkerOperationKind.Retire, [lent]);
        var overlapping = lent with { Extent = TestPool.Extent(1, generation: 2), Identity = lent.Identity with { Generation = 2 } };
        Receive(WorkerOperationKind.Map, [overlapping], _lender.Descriptors(lent.Extent));
        Assert.NotNull(Last().Refusal);
        Assert.Equal(_units, _driver.Live.HandleCount);

        Receive(WorkerOperationKind.Retire, [other]);
        _driver.FailNth(VirtualMemoryOperation.SetAccess, 1, DriverCode.Unknown);
        Receive(WorkerOperationKind.Map, [other], _lender.Descriptors(other.Extent));
        Assert.Equal(RefusalReason.DriverFailed, Last().Refusal?.Reason);
        Assert.Equal((0, 0), (_driver.Live.MappingCount, _driver.Live.HandleCount));
    }

    [Fact]
    public void Disconnected_LetsGoOfAllImports()
    {
        var lent = Map(TestPool.Extent(0));
        Receive(WorkerOperationKind.Retire, [lent]);
        _work.Disconnected();
        Assert.Equal(0, _driver.Live.HandleCount);
    }

    private LentExtent Map(Extent extent)
    {
        var (lent, descriptors) = _lender.Lend(extent);
        Receive(WorkerOperationKind.Map, [lent], descriptors);
        Assert.Null(Last().Refusal);
        return lent;
    }

    private void Receive(WorkerOperationKind kind, LentExtent[] extents, SafeFileHandle[]? descriptors = null, EngineStep fence = default) =>
        _work.Receive(new Operate(++_operation, kind, new Epoch(1, 1), _operation, fence, [.. extents], []), [.. descriptors ?? []]);

    private unsafe byte ReadAt(Extent extent) => *(byte*)(_arena.BaseAddress + (nint)_arena.Layout.UnitsOf(0)[0].OffsetOf(extent));

    private OperationDone Last() => _said.OfType<OperationDone>().Last();
}
