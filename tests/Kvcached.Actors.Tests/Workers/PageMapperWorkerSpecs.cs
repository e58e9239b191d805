using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Actors.Tests.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using static Kvcached.Actors.Tests.Ranks.RankRig;

namespace Kvcached.Actors.Tests.Workers;

/// <summary>The page mapper with pools that workers map: it waits for none of them, and what it has begun outlives it.</summary>
public sealed class PageMapperWorkerSpecs : TestKit
{
    private static readonly TimeSpan Housekeeping = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan WorkerDeadline = TimeSpan.FromMilliseconds(500);

    private readonly RankRig _rig = new();
    private readonly TestProbe _coordinator;
    private readonly TestProbe _checker;
    private readonly FakeWorker _worker;
    private IActorRef _mapper;

    public PageMapperWorkerSpecs()
        : base("""
            akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit"
            akka.loggers = ["Akka.TestKit.TestEventListener, Akka.TestKit"]
            """)
    {
        _coordinator = CreateTestProbe("coordinator");
        _checker = CreateTestProbe("checker");
        _mapper = StartMapper();
        _worker = new FakeWorker(_rig.State.Workers, 1);
        Assert.True(Ask<RankProtocol.RankPoolAnswer>(OpenForWorkers(PoolA)).IsOpen);
        Assert.True(Ask<RankProtocol.RankPoolAnswer>(Open(PoolB)).IsOpen);
    }

    private TestScheduler Clock => (TestScheduler)Sys.Scheduler;

    [Fact]
    public void Coordinator_should_hear_at_once_and_again_that_a_worker_attached_and_went()
    {
        Attach();
        Assert.Equal((PoolA, RankWorker.Attached), Change());
        Clock.Advance(Housekeeping);
        Assert.Equal((PoolA, RankWorker.Attached), Change());

        _worker.Disconnect();

        Assert.Equal((PoolA, RankWorker.Gone), Change());
        Assert.Equal(RankWorker.Gone, Ask<RankProtocol.RankReported>(new RankProtocol.ReportRank(Fifth)).Pools.Single(p => p.Pool == PoolA).Worker);
    }

    [Fact]
    public void Pool_whose_worker_is_slow_should_wait_in_order_and_others_go_on()
    {
        Attach();
        _mapper.Tell(Map(PoolA, 1, Extent(0, 0, 1)), _coordinator);
        _mapper.Tell(Map(PoolA, 2, Extent(1, 0, 2)), _coordinator);
        _mapper.Tell(Map(PoolB, 1, Extent(0, 0, 1)), _coordinator);
        Assert.Equal(PoolB, Decided().Pool);
        AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));

        _worker.Answer();
        Assert.Equal((PoolA, 1L), (Decided() is var first ? first.Pool : default, first.Seq));
        AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));
        _worker.Answer();

        var second = Decided();
        Assert.Equal((2L, DigestOf(Extent(0, 0, 1), Extent(1, 0, 2))), (second.Seq, second.Digest));
    }

    [Fact]
    public void Worker_that_does_not_answer_in_time_should_not_keep_the_coordinator_waiting()
    {
        Attach();
        _mapper.Tell(Map(PoolA, 1, Extent(0, 0, 1)), _coordinator);
        AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));

        Clock.Advance(WorkerDeadline);

        Assert.Equal(RefusalReason.DeadlineExceeded, Decided().Refusal!.Reason);
        _mapper.Tell(Abort(PoolA, 2, 1, Extent(0, 0, 1)), _coordinator);
        _mapper.Tell(new RankProtocol.ReportRank(Fifth), _coordinator);
        Assert.Equal([Extent(0, 0, 1)], _coordinator.FishForMessage<RankProtocol.RankReported>(_ => true).Pools.Single(p => p.Pool == PoolA).Quarantined.AsEnumerable());
        _worker.AnswerAll();
        Assert.Empty(Decided().Quarantined);
    }

    [Fact]
    public void Mapper_that_starts_anew_should_go_on_with_what_its_predecessor_had_begun()
    {
        Attach();
        _mapper.Tell(Map(PoolA, 1, Extent(0, 0, 1)), _coordinator);
        AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));
        Watch(_mapper);
        Sys.Stop(_mapper);
        ExpectTerminated(_mapper);
        _worker.Answer();
        _mapper = StartMapper();

        _mapper.Tell(Map(PoolA, 1, Extent(0, 0, 1)), _coordinator);

        Assert.Equal((DecisionOutcome.Applied, DigestOf(Extent(0, 0, 1))), (Decided() is var answer ? answer.Outcome : default, answer.Digest));
        Assert.Equal(2, _worker.Operations.Count);
        _mapper.Tell(Unmap(PoolA, 2, Extent(0, 0, 1)), _coordinator);
        AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));
        _worker.Answer();
        Assert.Equal(2, Decided().Seq);
        Assert.Empty(_rig.MappedIn(PoolA));
    }

    [Fact]
    public void Mapper_that_starts_anew_should_give_what_was_begun_its_deadline()
    {
        Attach();
        _mapper.Tell(Map(PoolA, 1, Extent(0, 0, 1)), _coordinator);
        AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));
        Watch(_mapper);
        Sys.Stop(_mapper);
        ExpectTerminated(_mapper);
        _mapper = StartMapper();
        _mapper.Tell(Map(PoolA, 1, Extent(0, 0, 1)), _coordinator);
        _mapper.Tell(new RankProtocol.ReportRank(Fifth), _coordinator);
        _coordinator.FishForMessage<RankProtocol.RankReported>(_ => true);

        Clock.Advance(WorkerDeadline);

        Assert.Equal(RefusalReason.DeadlineExceeded, Decided().Refusal!.Reason);
    }

    [Fact]
    public void Mapper_that_fails_over_a_worker_should_lose_nothing_of_what_it_was_told()
    {
        _worker.FailsNext = true;
        EventFilter.Exception<InvalidOperationException>().ExpectOne(() => Attach());

        _mapper.Tell(Map(PoolA, 1, Extent(0, 0, 1)), _coordinator);
        AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));
        _worker.Answer();

        Assert.Equal(DigestOf(Extent(0, 0, 1)), Decided().Digest);
    }

    [Fact]
    public void Mapper_that_knows_no_coordinator_yet_should_keep_news_until_it_does()
    {
        Watch(_mapper);
        Sys.Stop(_mapper);
        ExpectTerminated(_mapper);
        Attach(hear: false);
        _mapper = StartMapper();
        AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));
        _worker.Answer();
        AwaitAssert(() => Assert.Equal(RankWorker.Attached, _rig.State.Pools[PoolA].Seat!.Standing));
        Clock.Advance(10 * Housekeeping);

        _mapper.Tell(new RankProtocol.ReportRank(Fifth), _coordinator);
        _coordinator.FishForMessage<RankProtocol.RankReported>(_ => true);
        Clock.Advance(Housekeeping);

        Assert.Equal((PoolA, RankWorker.Attached), Change());
    }

    [Fact]
    public void Copier_should_let_go_before_the_worker_is_asked()
    {
        Attach();
        _mapper.Tell(Map(PoolA, 1, Extent(0, 0, 1)), _coordinator);
        AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));
        _worker.Answer();
        Decided();
        _rig.Holdings.Mark(PoolA);

        _mapper.Tell(Unmap(PoolA, 2, Extent(0, 0, 1)), _coordinator);
        var asked = _checker.ExpectMsg<CopierProtocol.DropExtents>();
        Assert.Equal(0, _worker.UnansweredCount);
        _mapper.Tell(new CopierProtocol.ExtentsDropped(PoolA, asked.Ticket), _checker);
        AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));
        _worker.Answer();

        Assert.Equal(2, Decided().Seq);
    }

    [Fact]
    public void Pool_should_close_when_its_worker_has_left()
    {
        Attach();
        _mapper.Tell(Map(PoolA, 1, Extent(0, 0, 1)), _coordinator);
        AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));
        _worker.Answer();
        Decided();
        _mapper.Tell(new RankProtocol.CloseRankPool(Fifth, PoolA), _coordinator);
        AwaitAssert(() => Assert.Contains(_worker.Told, m => m is Kvcached.Core.Workers.WorkerProtocol.PoolGone));

        _worker.Detach();

        Assert.False(_coordinator.FishForMessage<RankProtocol.RankPoolAnswer>(_ => true).IsOpen);
        Assert.Single(_rig.State.Pools);
    }

    protected override void AfterAll()
    {
        base.AfterAll();
        _rig.Dispose();
    }

    private IActorRef StartMapper() => Sys.ActorOf(PageMapper.Props(_rig.State, _rig.Holdings, _checker, Housekeeping, WorkerDeadline));

    private void Attach(bool hear = true)
    {
        _worker.Attach(NameOf(PoolA));
        if (hear)
        {
            AwaitAssert(() => Assert.Equal(1, _worker.UnansweredCount));
            _worker.Answer();
            AwaitAssert(() => Assert.Equal(RankWorker.Attached, _rig.State.Pools[PoolA].Seat!.Standing));
        }
    }

    private (PoolId Pool, RankWorker Worker) Change()
    {
        var change = _coordinator.FishForMessage<RankProtocol.WorkerChanged>(_ => true);
        return (change.Pool, change.Worker);
    }

    private DecisionAnswer Decided() => _coordinator.FishForMessage<RankProtocol.Decided>(_ => true).Answer;

    private T Ask<T>(RankProtocol.ICommand command)
    {
        _mapper.Tell(command, _coordinator);
        return _coordinator.FishForMessage<T>(_ => true);
    }
}
