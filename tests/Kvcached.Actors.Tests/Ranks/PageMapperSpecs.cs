using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;
using Kvcached.Gpu.Memory;
using static Kvcached.Actors.Tests.Ranks.RankRig;

namespace Kvcached.Actors.Tests.Ranks;

/// <summary>The page mapper on real, if small, memory.</summary>
public sealed class PageMapperSpecs : TestKit
{
    private static readonly TimeSpan Housekeeping = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan WorkerDeadline = TimeSpan.FromMilliseconds(500);

    private readonly RankRig _rig = new();
    private readonly TestProbe _coordinator;
    private readonly TestProbe _checker;
    private readonly IActorRef _mapper;

    public PageMapperSpecs()
        : base("""akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit" """)
    {
        _coordinator = CreateTestProbe("coordinator");
        _checker = CreateTestProbe("checker");
        _mapper = StartMapper();
    }

    private TestScheduler Clock => (TestScheduler)Sys.Scheduler;

    [Fact]
    public void Mapper_should_map_what_is_decided_and_answer_with_the_digest_of_its_table()
    {
        OpenBoth();

        var answer = Send(Map(PoolA, 1, Extent(0, 2, 1), Extent(8, 0, 2)));

        Assert.Equal(DecisionOutcome.Applied, answer.Outcome);
        Assert.Equal(DigestOf(Extent(0, 2, 1), Extent(8, 0, 2)), answer.Digest);
        Assert.Equal(_rig.Pages.Incarnation, answer.Incarnation);
        Assert.Equal([Extent(0, 2, 1), Extent(8, 0, 2)], _rig.MappedIn(PoolA).AsEnumerable());
    }

    [Fact]
    public void Mapper_should_follow_floors_of_policies_keep_them_on_disk_and_report_them()
    {
        var directory = Directory.CreateTempSubdirectory("kvcached-mapper-").FullName;
        try
        {
            Assert.Null(_rig.State.Policies.Keep(PolicyFile.In(directory, "test", TestPools.Gpu(0))));
            OpenBoth();
            var policy = new PoolPolicy(NameOf(PoolA), Fifth, 1, MemoryAmount.None, MemoryAmount.OfBytes(8 * TestPools.PageBytes), 0);

            _mapper.Tell(new RankProtocol.KeepPolicies(Fifth, 3, [policy]), _coordinator);

            var kept = _coordinator.ExpectMsg<RankProtocol.PoliciesKept>();
            Assert.Equal((3L, string.Empty), (kept.Version, kept.Problem));
            Assert.Equal(8 * TestPools.PageBytes, _rig.Pages.Snapshot().Pools.Single(p => p.Pool == PoolA).FloorBytes);
            var next = new RankPolicies();
            Assert.Null(next.Keep(PolicyFile.In(directory, "test", TestPools.Gpu(0))));
            Assert.Equal(policy, Assert.Single(next.All));
            _mapper.Tell(new RankProtocol.ReportRank(Fifth), _coordinator);
            Assert.Equal(policy, Assert.Single(_coordinator.ExpectMsg<RankProtocol.RankReported>().Policies));

            _mapper.Tell(new RankProtocol.KeepPolicies(new Epoch(4, 1), 9, []), _coordinator);
            _coordinator.ExpectMsg<RankProtocol.EpochRefused>();
            Assert.Single(_rig.State.Policies.All);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public void Mapper_should_answer_a_decision_that_comes_twice_without_touching_the_driver()
    {
        OpenBoth();
        var first = Send(Map(PoolA, 1, Extent(0, 0, 1)));
        var calls = _rig.Memory.TotalCallCount;

        var again = Send(Map(PoolA, 1, Extent(0, 0, 1)));

        Assert.Equal(first.Digest, again.Digest);
        Assert.Equal(DecisionOutcome.Applied, again.Outcome);
        Assert.Equal(calls, _rig.Memory.TotalCallCount);
    }

    [Fact]
    public void Mapper_should_refuse_an_older_epoch_with_the_current_one_whatever_it_is_asked()
    {
        OpenBoth();
        var older = new Epoch(4, 9);

        var decided = Send(new RankProtocol.Decide(Map(PoolA, 1, Extent(0, 0, 1)).Decision with { Epoch = older }));
        Assert.Equal((DecisionOutcome.StaleEpoch, Fifth), (decided.Outcome, decided.Epoch));
        var installed = Send(new RankProtocol.InstallTable(older, PoolA, 1, []));
        Assert.Equal((DecisionOutcome.StaleEpoch, Fifth), (installed.Outcome, installed.Epoch));
        foreach (var command in new RankProtocol.ICommand[]
        {
            new RankProtocol.ReportRank(older), Open(PoolB) with { Epoch = older }, new RankProtocol.CloseRankPool(older, PoolA),
        })
        {
            _mapper.Tell(command, _coordinator);
            Assert.Equal(Fifth, _coordinator.ExpectMsg<RankProtocol.EpochRefused>().Current);
        }

        Assert.Empty(_rig.MappedIn(PoolA));
        Assert.Equal(2, _rig.State.Pools.Count);
    }

    [Fact]
    public void Mapper_should_ask_for_a_table_when_it_does_not_know_the_pool_or_the_epoch()
    {
        Assert.Equal(DecisionOutcome.NeedsTable, Send(Map(PoolA, 1, Extent(0, 0, 1))).Outcome);
        OpenBoth();
        var newer = Map(PoolA, 1, Extent(0, 0, 1)).Decision with { Epoch = new Epoch(6, 1) };

        Assert.Equal(DecisionOutcome.NeedsTable, Send(new RankProtocol.Decide(newer)).Outcome);

        Assert.Empty(_rig.MappedIn(PoolA));
        Assert.Equal(new Epoch(6, 1), _rig.State.HighestEpoch);
    }

    [Fact]
    public void Mapper_should_refuse_a_map_whose_abort_came_first()
    {
        OpenBoth();

        Assert.Equal(DecisionOutcome.Applied, Send(Abort(PoolA, 2, 1, Extent(0, 0, 1))).Outcome);
        var late = Send(Map(PoolA, 1, Extent(0, 0, 1)));

        Assert.Equal(RefusalReason.Aborted, late.Refusal!.Reason);
        Assert.Empty(_rig.MappedIn(PoolA));
    }

    [Fact]
    public void Mapper_should_unmap_on_abort_and_map_the_same_pages_again_after_it()
    {
        OpenBoth();
        Send(Map(PoolA, 1, Extent(0, 2, 1)));

        Assert.Equal(Core.Paging.LayoutDigest.Empty, Send(Abort(PoolA, 2, 1, Extent(0, 2, 1))).Digest);
        Assert.Empty(_rig.MappedIn(PoolA));
        Assert.Equal(DecisionOutcome.Applied, Send(Map(PoolA, 3, Extent(0, 2, 2))).Outcome);
    }

    [Fact]
    public void Mapper_should_hold_exactly_the_table_that_is_installed()
    {
        OpenBoth();
        Send(Map(PoolA, 1, Extent(0, 0, 1), Extent(1, 0, 2)));
        var sixth = new Epoch(6, 1);

        var answer = Send(new RankProtocol.InstallTable(sixth, PoolA, 1, [new TableEntry(Extent(1, 0, 2), Session, new RequestId(1)), new TableEntry(Extent(8, 1, 9), default, default)]));

        Assert.Equal((DecisionOutcome.Applied, sixth, 1L), (answer.Outcome, answer.Epoch, answer.Seq));
        Assert.Equal(DigestOf(Extent(1, 0, 2), Extent(8, 1, 9)), answer.Digest);
        Assert.Equal([Extent(1, 0, 2), Extent(8, 1, 9)], _rig.MappedIn(PoolA).AsEnumerable());
        var next = Map(PoolA, 2, Extent(0, 0, 10)).Decision with { Epoch = sixth };
        Assert.Equal(DecisionOutcome.Applied, Send(new RankProtocol.Decide(next)).Outcome);
    }

    [Fact]
    public void Mapper_should_answer_a_table_that_comes_again_after_later_decisions_from_memory()
    {
        OpenBoth();
        var table = new RankProtocol.InstallTable(Fifth, PoolA, 3, [new TableEntry(Extent(0, 0, 1), default, default)]);
        var first = Send(table);
        Send(Map(PoolA, 4, Extent(1, 0, 2)));

        var again = Send(table);

        Assert.Equal(first.Digest, again.Digest);
        Assert.Equal([Extent(0, 0, 1), Extent(1, 0, 2)], _rig.MappedIn(PoolA).AsEnumerable());
    }

    [Fact]
    public void Mapper_should_refuse_a_map_above_the_capacity_and_leave_nothing()
    {
        OpenBoth();
        Send(Map(PoolB, 1, Extent(0, 5, 1)));

        var answer = Send(Map(PoolA, 1, Extent(0, 5, 1), Extent(32, 0, 2)));

        Assert.Equal(DecisionOutcome.Refused, answer.Outcome);
        Assert.Equal(RefusalReason.OutOfMemory, answer.Refusal!.Reason);
        Assert.Equal(Core.Paging.LayoutDigest.Empty, answer.Digest);
        Assert.Equal(1, _rig.Memory.Live.MappingCount);
    }

    [Theory]
    [InlineData(VirtualMemoryOperation.Create)]
    [InlineData(VirtualMemoryOperation.Map)]
    [InlineData(VirtualMemoryOperation.SetAccess)]
    public void Mapper_should_refuse_and_undo_a_map_that_fails_halfway(VirtualMemoryOperation operation)
    {
        OpenBoth();
        _rig.Memory.FailNth(operation, 2, DriverCode.Unknown);

        var answer = Send(Map(PoolA, 1, Extent(0, 0, 1), Extent(1, 0, 2), Extent(2, 0, 3)));

        Assert.Equal(RefusalReason.DriverFailed, answer.Refusal!.Reason);
        Assert.Equal(0, _rig.Memory.Live.MappingCount);
        Assert.Equal(DecisionOutcome.Applied, Send(Map(PoolA, 2, Extent(0, 0, 4))).Outcome);
    }

    [Fact]
    public void Mapper_should_let_the_data_checker_let_go_first_and_serve_other_pools_meanwhile()
    {
        OpenBoth();
        Send(Map(PoolA, 1, Extent(0, 0, 1), Extent(1, 0, 2)));
        _rig.Holdings.Mark(PoolA);

        _mapper.Tell(Unmap(PoolA, 2, Extent(0, 0, 1)), _coordinator);
        _mapper.Tell(Map(PoolA, 3, Extent(4, 0, 3)), _coordinator);
        var asked = _checker.ExpectMsg<CopierProtocol.DropExtents>();
        var other = Send(Map(PoolB, 1, Extent(0, 0, 1)));

        Assert.Equal([Extent(0, 0, 1)], asked.Extents.AsEnumerable());
        Assert.Equal(PoolB, other.Pool);
        Assert.Equal([Extent(0, 0, 1), Extent(1, 0, 2)], _rig.MappedIn(PoolA).AsEnumerable());
        _mapper.Tell(new CopierProtocol.ExtentsDropped(PoolA, asked.Ticket), _checker);
        Assert.Equal(2, _coordinator.ExpectMsg<RankProtocol.Decided>().Answer.Seq);
        Assert.Equal(3, _coordinator.ExpectMsg<RankProtocol.Decided>().Answer.Seq);
        Assert.Equal([Extent(1, 0, 2), Extent(4, 0, 3)], _rig.MappedIn(PoolA).AsEnumerable());
    }

    [Fact]
    public void Mapper_should_ask_the_data_checker_again_and_take_no_other_answer_for_its_own()
    {
        OpenBoth();
        Send(Map(PoolA, 1, Extent(0, 0, 1)));
        _rig.Holdings.Mark(PoolA);
        _mapper.Tell(new RankProtocol.CloseRankPool(Fifth, PoolA), _coordinator);
        var asked = _checker.ExpectMsg<CopierProtocol.DropPool>();
        _mapper.Tell(new CopierProtocol.ExtentsDropped(PoolA, asked.Ticket + 1), _checker);
        _mapper.Tell(new CopierProtocol.ExtentsDropped(PoolB, asked.Ticket), _checker);

        Clock.Advance(Housekeeping);

        Assert.Equal(asked, _checker.ExpectMsg<CopierProtocol.DropPool>());
        Assert.Single(_rig.MappedIn(PoolA));
        _mapper.Tell(new CopierProtocol.ExtentsDropped(PoolA, asked.Ticket), _checker);
        Assert.False(_coordinator.ExpectMsg<RankProtocol.RankPoolAnswer>().IsOpen);
        Assert.Empty(_rig.MappedIn(PoolA));
    }

    [Fact]
    public void Mapper_should_not_make_the_data_checker_let_go_for_a_table_that_comes_late()
    {
        OpenBoth();
        var table = new RankProtocol.InstallTable(Fifth, PoolA, 3, [new TableEntry(Extent(0, 0, 1), default, default)]);
        Send(table);
        Send(Map(PoolA, 4, Extent(1, 0, 2)));
        _rig.Holdings.Mark(PoolA);

        Assert.Equal(DecisionOutcome.Applied, Send(table).Outcome);
        _mapper.Tell(Unmap(PoolA, 5, Extent(0, 0, 1)), _coordinator);

        Assert.Equal([Extent(0, 0, 1)], _checker.ExpectMsg<CopierProtocol.DropExtents>().Extents.AsEnumerable());
    }

    [Fact]
    public void Mapper_should_quarantine_what_the_driver_holds_on_to_and_say_when_it_lets_go()
    {
        OpenBoth();
        Send(Map(PoolA, 1, Extent(0, 0, 1), Extent(1, 0, 2)));
        _rig.Memory.FailAll(VirtualMemoryOperation.Unmap, DriverCode.Unknown);

        var answer = Send(Unmap(PoolA, 2, Extent(0, 0, 1)));
        Assert.Equal(DecisionOutcome.Applied, answer.Outcome);
        Assert.Equal(DigestOf(Extent(1, 0, 2)), answer.Digest);
        Assert.Equal([Extent(0, 0, 1)], answer.Quarantined.AsEnumerable());
        _mapper.Tell(new RankProtocol.ReportRank(Fifth), _coordinator);
        Assert.Equal([Extent(0, 0, 1)], _coordinator.ExpectMsg<RankProtocol.RankReported>().Pools.Single(p => p.Pool == PoolA).Quarantined.AsEnumerable());

        _rig.Memory.Heal();
        for (var time = 0; time < 3; time++)
        {
            Clock.Advance(Housekeeping);
            Assert.Equal([Extent(0, 0, 1)], _coordinator.ExpectMsg<RankProtocol.QuarantineCleared>().Extents.AsEnumerable());
        }
    }

    [Fact]
    public void Mapper_should_tell_the_followed_coordinator_and_not_a_stale_one_that_quarantine_cleared()
    {
        OpenBoth();
        Send(Map(PoolA, 1, Extent(0, 0, 1)));
        _rig.Memory.FailNth(VirtualMemoryOperation.Unmap, 1, DriverCode.Unknown);
        Send(Unmap(PoolA, 2, Extent(0, 0, 1)));
        var stale = CreateTestProbe();
        _mapper.Tell(new RankProtocol.ReportRank(new Epoch(1, 1)), stale);
        stale.ExpectMsg<RankProtocol.EpochRefused>();

        Clock.Advance(Housekeeping);

        _coordinator.ExpectMsg<RankProtocol.QuarantineCleared>();
    }

    [Fact]
    public void Mapper_that_starts_anew_should_know_what_its_predecessor_did()
    {
        OpenBoth();
        var first = Send(Map(PoolA, 1, Extent(0, 2, 1)));
        Watch(_mapper);
        Sys.Stop(_mapper);
        ExpectTerminated(_mapper);
        var successor = StartMapper();

        successor.Tell(Map(PoolA, 1, Extent(0, 2, 1)), _coordinator);
        Assert.Equal(first.Digest, _coordinator.ExpectMsg<RankProtocol.Decided>().Answer.Digest);
        successor.Tell(new RankProtocol.Decide(Map(PoolA, 1, Extent(0, 2, 1)).Decision with { Epoch = new Epoch(2, 2) }), _coordinator);
        Assert.Equal(DecisionOutcome.StaleEpoch, _coordinator.ExpectMsg<RankProtocol.Decided>().Answer.Outcome);
        successor.Tell(Unmap(PoolA, 2, Extent(0, 2, 1)), _coordinator);
        Assert.Equal(Core.Paging.LayoutDigest.Empty, _coordinator.ExpectMsg<RankProtocol.Decided>().Answer.Digest);
        Assert.Equal(0, _rig.Memory.Live.MappingCount);
    }

    [Fact]
    public void Abort_should_also_unmap_what_a_mapper_that_failed_halfway_left_outside_its_table()
    {
        OpenBoth();
        Assert.True(_rig.Pages.TryGet(PoolA, out var memory));
        memory!.TryMap([Extent(0, 0, 1)]);

        var map = Send(Map(PoolA, 1, Extent(0, 0, 1)));
        Assert.Equal(DecisionOutcome.Refused, map.Outcome);
        Send(Abort(PoolA, 2, 1, Extent(0, 0, 1)));

        Assert.Empty(_rig.MappedIn(PoolA));
        Assert.Equal(DecisionOutcome.Applied, Send(Map(PoolA, 3, Extent(0, 0, 2))).Outcome);
    }

    [Fact]
    public void Closed_pool_should_leave_nothing_behind()
    {
        OpenBoth();
        Send(Map(PoolA, 1, Extent(0, 2, 1)));

        Assert.False(Ask<RankProtocol.RankPoolAnswer>(new RankProtocol.CloseRankPool(Fifth, PoolA)).IsOpen);
        Assert.False(Ask<RankProtocol.RankPoolAnswer>(new RankProtocol.CloseRankPool(Fifth, PoolB)).IsOpen);
        Assert.False(Ask<RankProtocol.RankPoolAnswer>(new RankProtocol.CloseRankPool(Fifth, PoolB)).IsOpen);

        Assert.Equal(new Kvcached.Gpu.Faults.LiveCounts(0, 0, 0, 0), _rig.Memory.Live);
        Assert.Equal(RankRig.CapacityPages * TestPools.PageBytes, _rig.Pages.Snapshot().FreeBytes);
    }

    [Fact]
    public void Pool_that_does_not_open_should_be_refused_with_a_reason()
    {
        var wrongRank = Open(PoolA) with { Rank = 7 };
        Assert.Equal(RefusalReason.BadGeometry, Ask<RankProtocol.RankPoolAnswer>(wrongRank).Refusal!.Reason);
        var floor = Open(PoolA) with { Spec = Open(PoolA).Spec with { FloorBytes = 65 * TestPools.PageBytes } };
        Assert.Equal(RefusalReason.BadLimit, Ask<RankProtocol.RankPoolAnswer>(floor).Refusal!.Reason);
        Assert.Null(Ask<RankProtocol.RankPoolAnswer>(Open(PoolA)).Refusal);
        var another = Open(PoolA) with { Spec = TestPools.Spec("other", TestPools.Gpus(1), 8) };
        Assert.Equal(RefusalReason.NameInUse, Ask<RankProtocol.RankPoolAnswer>(another).Refusal!.Reason);
        Assert.Null(Ask<RankProtocol.RankPoolAnswer>(Open(PoolA)).Refusal);
    }

    protected override void AfterAll()
    {
        base.AfterAll();
        _rig.Dispose();
    }

    private IActorRef StartMapper() => Sys.ActorOf(PageMapper.Props(_rig.State, _rig.Holdings, _checker, Housekeeping, WorkerDeadline));

    private void OpenBoth()
    {
        Assert.True(Ask<RankProtocol.RankPoolAnswer>(Open(PoolA)).IsOpen);
        Assert.True(Ask<RankProtocol.RankPoolAnswer>(Open(PoolB)).IsOpen);
    }

    private DecisionAnswer Send(RankProtocol.ICommand command) => Ask<RankProtocol.Decided>(command).Answer;

    private T Ask<T>(RankProtocol.ICommand command)
    {
        _mapper.Tell(command, _coordinator);
        return _coordinator.ExpectMsg<T>();
    }
}
