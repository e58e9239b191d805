using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using static Kvcached.Actors.Tests.Ranks.RankRig;

namespace Kvcached.Actors.Tests.Workers;

/// <summary>Decisions on a pool that a worker maps: carried out by it, answered with its digest, and never at the cost of memory that it may write to.</summary>
public sealed class WorkerMappingTests : IDisposable
{
    private readonly WorkerRig _rig = new();

    public void Dispose() => _rig.Dispose();

    [Fact]
    public void Map_should_be_answered_when_the_worker_has_mapped_with_its_digest()
    {
        var worker = _rig.NewAttachedWorker();

        Assert.Null(_rig.Send(Map(PoolA, 1, Extent(0, 2, 1), Extent(8, 0, 2))));
        var operation = worker.Operations[^1];
        worker.Answer();
        _rig.Hear();

        Assert.Equal((WorkerOperationKind.Map, Fifth, 1L), (operation.Kind, operation.Epoch, operation.Seq));
        Assert.Equal(2, worker.Current!.DescriptorCounts[^1]);
        Assert.All(operation.Extents, e => Assert.Equal(_rig.Memory.IdentityOf(e.Extent), e.Identity));
        var answer = _rig.TakeAnswer();
        Assert.Equal(DecisionOutcome.Applied, answer.Outcome);
        Assert.Equal(DigestOf(Extent(0, 2, 1), Extent(8, 0, 2)), answer.Digest);
        Assert.Equal(7, answer.DriverMicroseconds);
        Assert.Equal(0, _rig.Rank.Memory.Live.MappingCount);
    }

    [Fact]
    public void Answer_should_show_the_digest_of_the_worker_also_when_it_is_wrong_and_when_asked_again()
    {
        var worker = _rig.NewAttachedWorker();
        var wrong = DigestOf(Extent(5, 0, 9));
        _rig.Send(Map(PoolA, 1, Extent(0, 0, 1)));
        worker.Answer(done => done with { Digest = wrong });
        _rig.Hear();

        Assert.Equal(wrong, _rig.TakeAnswer().Digest);
        Assert.Equal(wrong, _rig.Send(Map(PoolA, 1, Extent(0, 0, 1)))!.Digest);
    }

    [Fact]
    public void Map_should_be_refused_at_once_without_a_worker()
    {
        var refused = _rig.Send(Map(PoolA, 1, Extent(0, 0, 1)))!;

        Assert.Equal((DecisionOutcome.Refused, RefusalReason.NotAttached), (refused.Outcome, refused.Refusal!.Reason));
        Assert.Empty(_rig.Memory.MappedExtents);
        Assert.Equal(LayoutDigest.Empty, refused.Digest);
    }

    [Fact]
    public void Map_should_be_refused_while_the_worker_is_still_taking_its_table_in()
    {
        var worker = _rig.NewWorker();
        worker.Attach(WorkerRig.Name);
        _rig.Hear();

        Assert.Equal(RefusalReason.NotAttached, _rig.Send(Map(PoolA, 1, Extent(0, 0, 1)))!.Refusal!.Reason);

        worker.Answer();
        _rig.Hear();
        Assert.Null(_rig.Send(Map(PoolA, 2, Extent(0, 0, 2))));
    }

    [Fact]
    public void Map_that_the_worker_refuses_should_leave_nothing_and_say_why()
    {
        var worker = _rig.NewAttachedWorker();
        worker.RefusesMap = new Refusal(RefusalReason.DriverFailed, "no");
        _rig.Send(Map(PoolA, 1, Extent(0, 0, 1)));
        worker.Answer();
        _rig.Hear();

        Assert.Equal(worker.RefusesMap, _rig.TakeAnswer().Refusal);
        Assert.Empty(_rig.Memory.MappedExtents);
        Assert.Empty(_rig.Quarantined);
        worker.RefusesMap = null;
        _rig.Send(Abort(PoolA, 2, 1, Extent(0, 0, 1)));
        _rig.Send(Map(PoolA, 3, Extent(0, 0, 2)));
        worker.AnswerAll();
        _rig.Hear();
        Assert.Equal(DecisionOutcome.Applied, _rig.TakeAnswer().Outcome);
    }

    [Fact]
    public void Refused_map_that_left_something_stuck_should_quarantine_it_until_the_worker_lets_go()
    {
        var worker = _rig.NewAttachedWorker();
        worker.RefusesMap = new Refusal(RefusalReason.DriverFailed, "half");
        worker.Sticks = e => e.First.Value == 1;
        _rig.Send(Map(PoolA, 1, Extent(0, 0, 1), Extent(1, 0, 2)));
        worker.Answer();
        _rig.Hear();

        Assert.Equal(RefusalReason.DriverFailed, _rig.TakeAnswer().Refusal!.Reason);
        Assert.Equal([Extent(1, 0, 2)], _rig.Quarantined.AsEnumerable());
        var aborted = _rig.Send(Abort(PoolA, 2, 1, Extent(0, 0, 1), Extent(1, 0, 2)))!;
        Assert.Equal([Extent(1, 0, 2)], aborted.Quarantined.AsEnumerable());

        worker.ReleaseStuck();
        _rig.Hear();
        Assert.Empty(_rig.Quarantined);
        Assert.Equal([Extent(1, 0, 2)], _rig.Cleared.AsEnumerable());
    }

    [Fact]
    public void Map_that_the_worker_does_not_answer_should_be_refused_quarantined_and_unmapped_when_it_does()
    {
        var worker = _rig.NewAttachedWorker();
        _rig.Send(Map(PoolA, 1, Extent(0, 0, 1)));

        _rig.Expire();

        Assert.Equal(RefusalReason.DeadlineExceeded, _rig.TakeAnswer().Refusal!.Reason);
        Assert.Equal([Extent(0, 0, 1)], _rig.Quarantined.AsEnumerable());
        Assert.Equal(WorkerOperationKind.Unmap, worker.Operations[^1].Kind);
        Assert.Null(_rig.Send(Abort(PoolA, 2, 1, Extent(0, 0, 1))));
        worker.AnswerAll();
        _rig.Hear();
        Assert.Empty(_rig.TakeAnswer().Quarantined);
        Assert.Equal(2, worker.Operations.Count(o => o.Kind != WorkerOperationKind.Install));
        Assert.Empty(_rig.Quarantined);
        Assert.Empty(worker.Mapped);
    }

    [Fact]
    public void Abort_that_comes_before_the_worker_answers_should_leave_quarantine_that_clears_later()
    {
        var worker = _rig.NewAttachedWorker();
        _rig.Send(Map(PoolA, 1, Extent(0, 0, 1)));
        _rig.Expire();
        _rig.TakeAnswer();
        _rig.Send(Abort(PoolA, 2, 1, Extent(0, 0, 1)));

        _rig.Expire();

        var answer = _rig.TakeAnswer();
        Assert.Equal((DecisionOutcome.Applied, LayoutDigest.Empty), (answer.Outcome, answer.Digest));
        Assert.Equal([Extent(0, 0, 1)], answer.Quarantined.AsEnumerable());
        worker.AnswerAll();
        _rig.Hear();
        Assert.Equal([Extent(0, 0, 1)], _rig.Cleared.AsEnumerable());
        Assert.Empty(_rig.Quarantined);
    }

    [Fact]
    public void Map_whose_worker_is_lost_should_be_refused_at_once_and_kept_until_it_is_known_dead()
    {
        var worker = _rig.NewAttachedWorker();
        _rig.Send(Map(PoolA, 1, Extent(0, 0, 1)));
        worker.CarryOutInSilence();

        worker.Disconnect();
        _rig.Hear();

        Assert.Equal(RefusalReason.NotAttached, _rig.TakeAnswer().Refusal!.Reason);
        Assert.Equal([Extent(0, 0, 1)], _rig.Quarantined.AsEnumerable());
        Assert.Equal(RankWorker.Gone, _rig.Seat.Standing);
        worker.Die();
        _rig.Hear();
        Assert.Empty(_rig.Quarantined);
        Assert.Equal([Extent(0, 0, 1)], _rig.Cleared.AsEnumerable());
    }

    [Fact]
    public void Unmap_should_carry_its_fence_and_free_the_memory_only_when_the_worker_says_so()
    {
        var worker = Grown(Extent(0, 0, 1), Extent(1, 0, 2));

        Assert.Null(_rig.Send(new RankProtocol.Decide(Unmap(PoolA, 2, Extent(0, 0, 1)).Decision with { Fence = new EngineStep(12) })));

        Assert.Equal((WorkerOperationKind.Unmap, new EngineStep(12)), (worker.Operations[^1].Kind, worker.Operations[^1].Fence));
        Assert.Equal(2, _rig.Memory.MappedExtents.Length);
        worker.Answer();
        _rig.Hear();
        var answer = _rig.TakeAnswer();
        Assert.Equal(DigestOf(Extent(1, 0, 2)), answer.Digest);
        Assert.Empty(answer.Quarantined);
        Assert.Equal([Extent(1, 0, 2)], _rig.Memory.MappedExtents.AsEnumerable());
        Assert.Empty(_rig.Cleared);
    }

    [Fact]
    public void Unmap_that_the_worker_does_not_answer_should_roll_forward_into_quarantine()
    {
        var worker = Grown(Extent(0, 0, 1), Extent(1, 0, 2));
        _rig.Send(Unmap(PoolA, 2, Extent(0, 0, 1)));

        _rig.Expire();

        var answer = _rig.TakeAnswer();
        Assert.Equal(DigestOf(Extent(1, 0, 2)), answer.Digest);
        Assert.Equal([Extent(0, 0, 1)], answer.Quarantined.AsEnumerable());
        Assert.Null(_rig.Send(Map(PoolA, 3, Extent(4, 0, 3))));
        worker.AnswerAll();
        _rig.Hear();
        Assert.Equal(DigestOf(Extent(1, 0, 2), Extent(4, 0, 3)), _rig.TakeAnswer().Digest);
        Assert.Equal([Extent(0, 0, 1)], _rig.Cleared.AsEnumerable());
        Assert.Empty(_rig.Quarantined);
    }

    [Fact]
    public void Unmap_of_what_the_worker_can_not_let_go_should_be_quarantined_until_it_says_so_or_ends()
    {
        var worker = Grown(Extent(0, 0, 1), Extent(1, 0, 2));
        worker.Sticks = e => e.First.Value == 0;
        _rig.Send(Unmap(PoolA, 2, Extent(0, 0, 1), Extent(1, 0, 2)));
        worker.Answer();
        _rig.Hear();

        Assert.Equal([Extent(0, 0, 1)], _rig.TakeAnswer().Quarantined.AsEnumerable());
        Assert.Equal([Extent(0, 0, 1)], _rig.Quarantined.AsEnumerable());
        worker.ReleaseStuck();
        _rig.Hear();
        Assert.Empty(_rig.Quarantined);
        Assert.Equal([Extent(0, 0, 1)], _rig.Cleared.AsEnumerable());
    }

    [Fact]
    public void Unmap_should_not_wait_for_a_worker_that_is_gone_and_free_what_a_dead_one_held()
    {
        var worker = Grown(Extent(0, 0, 1), Extent(1, 0, 2));
        worker.Disconnect();
        _rig.Hear();

        Assert.Equal([Extent(0, 0, 1)], _rig.Send(Unmap(PoolA, 2, Extent(0, 0, 1)))!.Quarantined.AsEnumerable());
        worker.Die();
        _rig.Hear();
        Assert.Empty(_rig.Send(Unmap(PoolA, 3, Extent(1, 0, 2)))!.Quarantined);

        Assert.Empty(_rig.Quarantined);
        Assert.Empty(_rig.Memory.MappedExtents);
    }

    [Fact]
    public void Unmap_that_waits_when_its_worker_dies_should_be_done()
    {
        var worker = Grown(Extent(0, 0, 1));
        _rig.Send(Unmap(PoolA, 2, Extent(0, 0, 1)));

        worker.Detach();
        _rig.Hear();

        var answer = _rig.TakeAnswer();
        Assert.Empty(answer.Quarantined);
        Assert.Equal(LayoutDigest.Empty, answer.Digest);
        Assert.Empty(_rig.Memory.MappedExtents);
        Assert.Equal(RankWorker.Gone, _rig.Seat.Standing);
    }

    [Fact]
    public void Worker_that_answers_out_of_turn_should_lose_its_connection_and_nothing_else()
    {
        var worker = Grown(Extent(0, 0, 1));

        worker.Say(new WorkerProtocol.OperationDone(77, null, default, [], 0));
        _rig.Hear();

        Assert.True(worker.Current!.IsClosed);
        Assert.Equal(RankWorker.Gone, _rig.Seat.Standing);
        Assert.Equal([Extent(0, 0, 1)], _rig.Memory.MappedExtents.AsEnumerable());
    }

    [Fact]
    public void Worker_that_refuses_to_unmap_should_have_to_attach_anew()
    {
        var worker = Grown(Extent(0, 0, 1));
        _rig.Send(Unmap(PoolA, 2, Extent(0, 0, 1)));
        worker.Answer(done => done with { Refusal = new Refusal(RefusalReason.StaleEpoch, "no") });
        _rig.Hear();

        Assert.True(worker.Current!.IsClosed);
        Assert.Equal([Extent(0, 0, 1)], _rig.TakeAnswer().Quarantined.AsEnumerable());
    }

    [Fact]
    public void Table_should_be_installed_in_the_worker_and_answered_with_its_digest()
    {
        var worker = Grown(Extent(0, 0, 1), Extent(1, 0, 2));
        var sixth = new Epoch(6, 1);
        var table = new RankProtocol.InstallTable(
            sixth, PoolA, 1, [new TableEntry(Extent(1, 0, 2), Session, new RequestId(1)), new TableEntry(Extent(8, 1, 9), default, default)], new EngineStep(5));

        Assert.Null(_rig.Send(table));
        Assert.Equal([Extent(0, 0, 1)], _rig.Quarantined.AsEnumerable());
        var operation = worker.Operations[^1];
        worker.Answer();
        _rig.Hear();

        Assert.Equal((WorkerOperationKind.Install, sixth, new EngineStep(5)), (operation.Kind, operation.Epoch, operation.Fence));
        Assert.Equal([true, false], operation.IsDescriptorsHeld.AsEnumerable());
        Assert.Equal(1, worker.Current!.DescriptorCounts[^1]);
        Assert.Equal(DigestOf(Extent(1, 0, 2), Extent(8, 1, 9)), _rig.TakeAnswer().Digest);
        Assert.Empty(_rig.Quarantined);
        Assert.Equal([Extent(0, 0, 1)], _rig.Cleared.AsEnumerable());
    }

    [Fact]
    public void Table_that_the_worker_does_not_take_in_time_should_be_the_ranks_own_and_the_worker_attach_anew()
    {
        var worker = Grown(Extent(0, 0, 1));
        _rig.Send(new RankProtocol.InstallTable(new Epoch(6, 1), PoolA, 1, []));

        _rig.Expire();

        Assert.Equal([Extent(0, 0, 1)], _rig.TakeAnswer().Quarantined.AsEnumerable());
        Assert.True(worker.Current!.IsClosed);
        worker.Attach(WorkerRig.Name, id: PoolA);
        _rig.Hear();
        worker.AnswerAll();
        _rig.Hear();
        Assert.Equal(RankWorker.Attached, _rig.Seat.Standing);
        Assert.Empty(worker.Mapped);
        Assert.Empty(_rig.Quarantined);
    }

    /// <summary>An attached worker that has mapped these, by decision 1.</summary>
    private FakeWorker Grown(params Extent[] extents)
    {
        var worker = _rig.NewAttachedWorker();
        _rig.Send(Map(PoolA, 1, [.. extents]));
        worker.Answer();
        _rig.Hear();
        Assert.Equal(DecisionOutcome.Applied, _rig.TakeAnswer().Outcome);
        return worker;
    }
}
