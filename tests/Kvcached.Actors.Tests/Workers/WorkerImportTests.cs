using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Actors.Tests.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Pools;
using static Kvcached.Actors.Tests.Ranks.RankRig;

namespace Kvcached.Actors.Tests.Workers;

/// <summary>Memory that a worker keeps imported: it maps again, is asked back when others need it, and counts until the worker has let go.</summary>
public sealed class WorkerImportTests : IDisposable
{
    private readonly WorkerRig _rig = new(keepsImports: true);

    public void Dispose() => _rig.Dispose();

    [Fact]
    public void Unmap_should_leave_the_memory_imported_and_the_next_map_take_it()
    {
        var worker = _rig.NewAttachedWorker();
        Map(worker, 1, Extent(0, 0, 1));
        var identity = _rig.Memory.IdentityOf(Extent(0, 0, 1))!.Value;
        Unmap(worker, 2, Extent(0, 0, 1));

        Assert.Equal(WorkerOperationKind.Retire, worker.Operations[^1].Kind);
        Assert.True(_rig.Memory.HasImports);

        Map(worker, 3, Extent(5, 0, 2));
        var again = worker.Operations[^1].Extents[0].Identity;
        Assert.Equal((identity.Creator, identity.Serial), (again.Creator, again.Serial));
        Assert.False(_rig.Memory.HasImports);
    }

    [Fact]
    public void Map_of_another_pool_should_wait_until_the_worker_has_let_go_of_what_it_needs()
    {
        var worker = _rig.NewAttachedWorker();
        Map(worker, 1, Extent(0, 5, 1));
        Unmap(worker, 2, Extent(0, 5, 1));
        var other = OpenOther();

        // The capacity is 64 pages, of which 32 are imported by the first pool's worker.
        Assert.Null(_rig.Work.Decide(RankRig.Map(PoolB, 1, Extent(0, 5, 1), Extent(32, 3, 1))));
        Assert.Equal((WorkerOperationKind.LetGo, Extent(0, 5, 1)), (worker.Operations[^1].Kind, worker.Operations[^1].Extents[0].Extent));
        Assert.Equal(32 * TestPools.PageBytes, _rig.Rank.Memory.Live.HandleBytes);
        Assert.Empty(Other.MappedExtents);

        worker.Answer();
        _rig.Hear();
        Assert.Empty(_rig.Work.Revive());
        Assert.Equal(40 * TestPools.PageBytes, _rig.Rank.Memory.Live.HandleBytes);
        Assert.Equal(WorkerOperationKind.Map, other.Operations[^1].Kind);
    }

    [Fact]
    public void Map_should_be_refused_at_its_deadline_when_the_worker_keeps_what_it_needs()
    {
        var worker = _rig.NewAttachedWorker();
        Map(worker, 1, Extent(0, 5, 1));
        Unmap(worker, 2, Extent(0, 5, 1));
        OpenOther();
        Assert.Null(_rig.Work.Decide(RankRig.Map(PoolB, 1, Extent(0, 5, 1), Extent(32, 3, 1))));

        var seat = _rig.Rank.State.Pools[PoolB].Seat!;
        var pool = _rig.Work.Expire(PoolB, seat.Wait!)!;
        Assert.True(MapperWork.TryCollect(pool, out var reply));
        var answer = Assert.IsType<RankProtocol.Decided>(reply).Answer;
        Assert.Equal((DecisionOutcome.Refused, RefusalReason.Busy), (answer.Outcome, answer.Refusal!.Reason));
        Assert.Equal(32 * TestPools.PageBytes, _rig.Rank.Memory.Live.HandleBytes);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void End_of_the_worker_or_a_new_connection_should_free_its_imports(bool dies)
    {
        var worker = _rig.NewAttachedWorker();
        Map(worker, 1, Extent(0, 2, 1));
        Unmap(worker, 2, Extent(0, 2, 1));
        worker.Disconnect();
        _rig.Hear();
        Assert.True(_rig.Memory.HasImports);

        if (dies)
        {
            worker.Die();
        }
        else
        {
            worker.Attach(WorkerRig.Name);
        }

        _rig.Hear();
        Assert.False(_rig.Memory.HasImports);
    }

    [Fact]
    public void Pool_should_close_only_when_its_worker_has_let_go()
    {
        var worker = _rig.NewAttachedWorker();
        Map(worker, 1, Extent(0, 2, 1));
        Unmap(worker, 2, Extent(0, 2, 1));
        Assert.Null(_rig.Close());
        worker.Detach();
        _rig.Hear();
        Assert.False(Assert.IsType<RankProtocol.RankPoolAnswer>(Assert.Single(_rig.Replies)).IsOpen);
        Assert.Equal(0, _rig.Rank.Memory.Live.HandleCount);
    }

    [Fact]
    public void What_the_worker_could_not_release_should_be_asked_for_again()
    {
        var worker = _rig.NewAttachedWorker();
        Map(worker, 1, Extent(0, 2, 1));
        Unmap(worker, 2, Extent(0, 2, 1));
        _rig.Rank.Pages.KeepWithin(0);
        _rig.Work.Housekeep();
        Assert.Equal(WorkerOperationKind.LetGo, worker.Operations[^1].Kind);
        worker.Answer(done => done with { Stuck = [Extent(0, 2, 1)] });
        _rig.Hear();
        Assert.True(_rig.Memory.HasImports);

        var asked = worker.Operations.Count;
        _rig.Work.Housekeep();
        Assert.Equal(asked + 1, worker.Operations.Count);
        worker.Answer();
        _rig.Hear();
        Assert.False(_rig.Memory.HasImports);
        Assert.Equal(0, _rig.Rank.Memory.Live.HandleCount);
    }

    private RankPool Other => _rig.Rank.Pages.TryGet(PoolB, out var memory) ? memory : throw new InvalidOperationException("The pool isn't open.");

    private FakeWorker OpenOther()
    {
        Assert.Null(Assert.IsType<RankProtocol.RankPoolAnswer>(_rig.Work.Open(OpenForWorkers(PoolB))).Refusal);
        var worker = _rig.NewWorker();
        worker.Attach(NameOf(PoolB));
        _rig.Hear();
        worker.AnswerAll();
        _rig.Hear();
        return worker;
    }

    private void Map(FakeWorker worker, long seq, params Extent[] extents) => CarryOut(worker, RankRig.Map(PoolA, seq, [.. extents]));

    private void Unmap(FakeWorker worker, long seq, params Extent[] extents) => CarryOut(worker, RankRig.Unmap(PoolA, seq, [.. extents]));

    private void CarryOut(FakeWorker worker, RankProtocol.Decide decide)
    {
        Assert.Null(_rig.Send(decide));
        worker.Answer();
        _rig.Hear();
        Assert.Equal(DecisionOutcome.Applied, _rig.TakeAnswer().Outcome);
    }
}
