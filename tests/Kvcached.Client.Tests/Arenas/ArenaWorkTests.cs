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
using static Kvcached.Core.Workers.WorkerProtocol;

namespace Kvcached.Client.Tests.Arenas;

/// <summary>Operations as they come, on main memory with real descriptors.</summary>
public sealed class ArenaWorkTests : IDisposable
{
    private readonly FaultInjectingVirtualMemory _driver =
        new(new HostVirtualMemory(new HostVirtualMemoryOptions { GranularityBytes = TestPool.PageBytes }), TimeProvider.System);

    private readonly StepTracker _steps = new();
    private readonly ArenaMemory _arena;
    private readonly ArenaWork _work;
    private readonly Lender _lender;
    private readonly List<IMessage> _said = [];
    private long _operation;

    public ArenaWorkTests()
    {
        var geometry = TestPool.Spec().Geometry;
        _arena = new ArenaMemory(_driver, geometry, 0);
        _work = new ArenaWork(_arena, _steps, new Synchronizer(ImmediateFences.Instance, _steps, () => { }), _said.Add);
        _lender = new Lender(ArenaLayout.Create(geometry, 0));
    }

    public void Dispose()
    {
        _driver.Heal();
        _work.Leave();
        _work.RetryStuck();
        Assert.Equal(0, _driver.Live.MappingCount);
        Assert.Equal(0, _driver.Live.HandleCount);
        Assert.True(_arena.TryFree());
        _lender.Dispose();
        _driver.Dispose();
    }

    [Fact]
    public void Map_TwoExtents_MapsAllUnitsAndAnswersWithTheDigest()
    {
        Map(TestPool.Extent(0), TestPool.Extent(2, order: 1));
        var done = Last<OperationDone>();
        Assert.Null(done.Refusal);
        Assert.Equal(LayoutDigest.Empty.With(TestPool.Extent(0)).With(TestPool.Extent(2, order: 1)), done.Digest);
        Assert.Equal(8, _driver.Live.MappingCount);
    }

    [Theory]
    [InlineData(VirtualMemoryOperation.Import)]
    [InlineData(VirtualMemoryOperation.Map)]
    [InlineData(VirtualMemoryOperation.SetAccess)]
    public void Map_AnyCallFails_LeavesNothingBehindAndTheNextWorks(VirtualMemoryOperation operation)
    {
        for (var nth = 1; nth <= 8; nth++)
        {
            _driver.FailNth(operation, nth, DriverCode.Unknown);
            Map(TestPool.Extent(0, generation: (uint)nth), TestPool.Extent(2, order: 1, generation: (uint)nth));
            var done = Last<OperationDone>();
            Assert.Equal(RefusalReason.DriverFailed, done.Refusal?.Reason);
            Assert.Equal(LayoutDigest.Empty, done.Digest);
            Assert.Empty(done.Stuck);
            Assert.Equal((0, 0), (_driver.Live.MappingCount, _driver.Live.HandleCount));
            Assert.Empty(_work.Held);
            Assert.Empty(_work.Unlisted);
        }

        _driver.Heal();
        Map(TestPool.Extent(0));
        Assert.Null(Last<OperationDone>().Refusal);
    }

    [Fact]
    public void Map_FailsAndCannotBeUndone_IsStuckUntilTheDriverLetsGo()
    {
        _driver.FailNth(VirtualMemoryOperation.SetAccess, 3, DriverCode.Unknown);
        _driver.FailAll(VirtualMemoryOperation.Unmap, DriverCode.Unknown);
        var extent = TestPool.Extent(4);
        Map(extent);
        Assert.Equal([extent], Last<OperationDone>().Stuck.ToArray());

        _driver.Heal();
        Map(TestPool.Extent(4, generation: 2));
        Assert.Equal(RefusalReason.DriverFailed, Last<OperationDone>().Refusal?.Reason);
        _work.RetryStuck();
        Assert.Equal([extent], Last<StuckReleased>().Extents.ToArray());
        Map(TestPool.Extent(4, generation: 3));
        Assert.Null(Last<OperationDone>().Refusal);
    }

    [Fact]
    public void Unmap_TwoStepsInFlight_EachWaitsForItsOwn()
    {
        var (first, second) = (Map(TestPool.Extent(0)), Map(TestPool.Extent(1)));
        Unmap(new EngineStep(1), first);
        Unmap(new EngineStep(2), second);
        Assert.Equal(2, Last<OperationDone>().Operation);
        Assert.Equal(8, _driver.Live.MappingCount);

        Complete(1);
        Assert.Equal(3, Last<OperationDone>().Operation);
        Assert.Equal(4, _driver.Live.MappingCount);

        Complete(2);
        Assert.Equal(4, Last<OperationDone>().Operation);
        Assert.Equal(0, _driver.Live.MappingCount);
        Assert.All(_said.OfType<OperationDone>(), d => Assert.Empty(d.Stuck));
    }

    [Fact]
    public void Map_BehindUnmapsThatWait_IsNotHeldUp_AndAnswersKeepTheirOrder()
    {
        var (first, second) = (Map(TestPool.Extent(0)), Map(TestPool.Extent(1)));
        Unmap(new EngineStep(1), first);
        Unmap(new EngineStep(2), second);
        Map(TestPool.Extent(3));
        var answers = _said.OfType<OperationDone>().ToArray();
        Assert.Equal([1, 2, 3, 4, 5], answers.Select(d => d.Operation));
        Assert.Equal([[], [], [first.Extent], [second.Extent], []], answers.Select(d => d.Stuck.ToArray()));
        Assert.Equal(LayoutDigest.Empty.With(second.Extent), answers[2].Digest);
        Assert.Equal(LayoutDigest.Empty, answers[3].Digest);
        Assert.Equal(LayoutDigest.Empty.With(TestPool.Extent(3)), answers[4].Digest);
        Assert.Equal(12, _driver.Live.MappingCount);

        Complete(1);
        Assert.Equal([first.Extent], Last<StuckReleased>().Extents.ToArray());
        Complete(2);
        Assert.Equal([second.Extent], Last<StuckReleased>().Extents.ToArray());
        Assert.Equal(4, _driver.Live.MappingCount);
    }

    [Fact]
    public void Unmap_LaterOneIsFreeFirst_IsAnsweredInItsTurn()
    {
        var (first, second) = (Map(TestPool.Extent(0)), Map(TestPool.Extent(1)));
        Unmap(new EngineStep(2), first);
        Unmap(new EngineStep(1), second);
        Complete(1);
        Assert.Equal([1, 2, 3, 4], _said.OfType<OperationDone>().Select(d => d.Operation));
        Assert.Equal([first.Extent], _said.OfType<OperationDone>().Single(d => d.Operation == 3).Stuck.ToArray());
        Complete(2);
        Assert.Equal([first.Extent], Last<StuckReleased>().Extents.ToArray());
    }

    [Fact]
    public void Map_PagesThatAreStillLeaving_WaitsForThemAndKeepsTheOrder()
    {
        var first = Map(TestPool.Extent(0));
        Unmap(new EngineStep(1), first);
        Map(TestPool.Extent(0, generation: 2));
        Map(TestPool.Extent(1));
        Assert.Single(_said.OfType<OperationDone>());
        Complete(1);
        Assert.Equal([1, 2, 3, 4], _said.OfType<OperationDone>().Select(d => d.Operation));
        Assert.All(_said.OfType<OperationDone>(), d => Assert.Null(d.Refusal));
    }

    [Fact]
    public void Unmap_OtherMemoryOfTheSameExtent_IsLeftAlone()
    {
        var lent = Map(TestPool.Extent(0));
        Unmap(EngineStep.None, lent with { Identity = lent.Identity with { Serial = 99 } });
        Assert.Null(Last<OperationDone>().Refusal);
        Assert.True(_arena.Holds(lent));
    }

    [Fact]
    public void Unmap_DriverRefuses_SaysStuckAndTakesItOutOfTheTable()
    {
        var lent = Map(TestPool.Extent(0));
        _driver.FailAll(VirtualMemoryOperation.Unmap, DriverCode.Unknown);
        Unmap(EngineStep.None, lent);
        Assert.Equal(LayoutDigest.Empty, Last<OperationDone>().Digest);
        Assert.Equal([lent.Extent], Last<OperationDone>().Stuck.ToArray());
        _driver.Heal();
        _work.RetryStuck();
        Assert.Equal([lent.Extent], Last<StuckReleased>().Extents.ToArray());
        Assert.Equal(0, _driver.Live.MappingCount);
    }

    [Fact]
    public void Install_ListThatDiffers_KeepsTheSameMemoryAndMapsAndUnmapsTheRest()
    {
        var (kept, dropped) = (Map(TestPool.Extent(0)), Map(TestPool.Extent(1)));
        var (fresh, descriptors) = _lender.Lend(TestPool.Extent(2));
        var maps = _driver.CallCount(VirtualMemoryOperation.Map);
        Receive(WorkerOperationKind.Install, EngineStep.Sync, [kept, fresh], [true, false], descriptors);
        Assert.Null(Last<OperationDone>().Refusal);
        Assert.Equal(LayoutDigest.Empty.With(kept.Extent).With(fresh.Extent), Last<OperationDone>().Digest);
        Assert.False(_arena.Holds(dropped));
        Assert.Equal(maps + 4, _driver.CallCount(VirtualMemoryOperation.Map));
        Assert.Equal(8, _driver.Live.MappingCount);
    }

    [Fact]
    public void Install_ExtentWithOtherMemory_ReplacesIt()
    {
        var old = Map(TestPool.Extent(0));
        var (fresh, descriptors) = _lender.Lend(TestPool.Extent(0));
        Receive(WorkerOperationKind.Install, EngineStep.None, [fresh], [], descriptors);
        Assert.Null(Last<OperationDone>().Refusal);
        Assert.True(_arena.Holds(fresh));
        Assert.False(_arena.Holds(old));
        Assert.Equal(4, _driver.Live.MappingCount);
    }

    [Fact]
    public void Install_ListsWhatIsLeaving_KeepsIt()
    {
        var lent = Map(TestPool.Extent(0));
        Unmap(new EngineStep(9), lent);
        _work.Disconnected();
        _operation = 0;
        Assert.Single(_work.Held);
        Receive(WorkerOperationKind.Install, EngineStep.None, [lent], [true], []);
        Assert.Null(Last<OperationDone>().Refusal);
        Assert.True(_arena.Holds(lent));
        Assert.False(_work.IsWaiting);
    }

    [Fact]
    public void Install_OthersStillLeaving_IsAnsweredWithTheirNamesAndTellsWhenTheyAreGone()
    {
        var (kept, leaving) = (Map(TestPool.Extent(0)), Map(TestPool.Extent(1)));
        Receive(WorkerOperationKind.Install, new EngineStep(4), [kept], [true], []);
        Assert.Equal([leaving.Extent], Last<OperationDone>().Stuck.ToArray());
        Assert.Equal(LayoutDigest.Empty.With(kept.Extent), Last<OperationDone>().Digest);
        Assert.Equal(8, _driver.Live.MappingCount);
        Complete(4);
        Assert.Equal([leaving.Extent], Last<StuckReleased>().Extents.ToArray());
        Assert.Equal(4, _driver.Live.MappingCount);
    }

    [Fact]
    public void Install_PagesStillLeavingAsOtherMemory_WaitsForThem()
    {
        Map(TestPool.Extent(0));
        var (fresh, descriptors) = _lender.Lend(TestPool.Extent(0, generation: 2));
        Receive(WorkerOperationKind.Install, new EngineStep(4), [fresh], [false], descriptors);
        Assert.Single(_said.OfType<OperationDone>());
        Complete(4);
        Assert.Equal(LayoutDigest.Empty.With(fresh.Extent), Last<OperationDone>().Digest);
        Assert.Empty(Last<OperationDone>().Stuck);
    }

    [Fact]
    public void Install_NamesAsHeldWhatIsNot_IsRefused()
    {
        var (lent, descriptors) = _lender.Lend(TestPool.Extent(0));
        Array.ForEach(descriptors, d => d.Dispose());
        Receive(WorkerOperationKind.Install, EngineStep.None, [lent], [true], []);
        Assert.Equal(RefusalReason.StaleExtent, Last<OperationDone>().Refusal?.Reason);
    }

    [Fact]
    public void Receive_OlderEpoch_IsRefused()
    {
        var (lent, descriptors) = _lender.Lend(TestPool.Extent(0));
        _work.Receive(new Operate(++_operation, WorkerOperationKind.Install, new Epoch(5, 1), 1, default, [], []), []);
        _work.Receive(new Operate(++_operation, WorkerOperationKind.Map, new Epoch(4, 9), 1, default, [lent], []), [.. descriptors]);
        Assert.Equal(RefusalReason.StaleEpoch, Last<OperationDone>().Refusal?.Reason);
        Assert.All(descriptors, d => Assert.True(d.IsClosed));
        Assert.Equal(0, _driver.Live.MappingCount);
    }

    [Fact]
    public void Map_TooFewDescriptors_IsRefusedAndClosesThoseThatCame()
    {
        var (lent, descriptors) = _lender.Lend(TestPool.Extent(0));
        descriptors[3].Dispose();
        Receive(WorkerOperationKind.Map, default, [lent], [], descriptors[..3]);
        Assert.Equal(RefusalReason.InvalidMessage, Last<OperationDone>().Refusal?.Reason);
        Assert.All(descriptors, d => Assert.True(d.IsClosed));
    }

    [Fact]
    public void LetGoOfAll_BehindAStepThatHasNotComeYet_WaitsForIt()
    {
        Map(TestPool.Extent(0));
        _steps.Done(new EngineStep(4));

        _work.LetGoOfAll(new EngineStep(6));
        Complete(5);
        Assert.Equal(1, _work.LeavingCount);
        Assert.Equal(4, _driver.Live.MappingCount);

        Complete(6);
        Assert.Equal(0, _work.LeavingCount);
        Assert.Equal(0, _driver.Live.MappingCount);
    }

    [Fact]
    public void Leave_WithStepsThatNeverCome_WaitsOnlyForWhatWasSubmitted()
    {
        var first = Map(TestPool.Extent(0));
        Map(TestPool.Extent(1));
        Unmap(new EngineStep(90), first);
        _work.LetGoOfAll(new EngineStep(100));
        Assert.Equal(2, _work.LeavingCount);

        _work.Leave();

        Assert.Equal(0, _work.LeavingCount);
        Assert.Equal(0, _driver.Live.MappingCount);
    }

    private LentExtent Map(params Extent[] extents)
    {
        var lent = extents.Select(_lender.Lend).ToArray();
        Receive(WorkerOperationKind.Map, default, [.. lent.Select(l => l.Lent)], [], [.. lent.SelectMany(l => l.Descriptors)]);
        return lent[0].Lent;
    }

    private void Unmap(EngineStep fence, params LentExtent[] lent) => Receive(WorkerOperationKind.Unmap, fence, lent, [], []);

    private void Receive(WorkerOperationKind kind, EngineStep fence, LentExtent[] extents, bool[] held, Microsoft.Win32.SafeHandles.SafeFileHandle[] descriptors) =>
        _work.Receive(new Operate(++_operation, kind, new Epoch(1, 1), _operation, fence, [.. extents], [.. held]), [.. descriptors]);

    private void Complete(long step)
    {
        _steps.Done(new EngineStep(step));
        _work.Pump();
    }

    private T Last<T>() => _said.OfType<T>().Last();
}
