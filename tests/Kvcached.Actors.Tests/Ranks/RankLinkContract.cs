using System.Collections.Immutable;
using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Hosting;
using Kvcached.Actors.Lanes;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Actors.Tests.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using static Kvcached.Actors.Tests.Ranks.RankRig;

namespace Kvcached.Actors.Tests.Ranks;

/// <summary>What a coordinator may expect of the way to a rank, whichever it is: a real page mapper at one end, a probe as the coordinator at the other.</summary>
public abstract class RankLinkContract : TestKit
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly RankRig _rig = new();
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kvcached-link-");
    private readonly IActorRef _supervisor;
    private readonly IRankLink _link;

    protected RankLinkContract()
        : base(KvcachedHocon.Load("serialization"))
    {
        Coordinator = CreateTestProbe("coordinator");
        _supervisor = Sys.ActorOf(RankSupervisor.Props(new RankSupervisorSettings
        {
            State = _rig.State,
            Holdings = _rig.Holdings,
            Coordinator = Coordinator,
            DataChecker = ActorRefs.Nobody,
            Domain = "test",
            DeviceName = "main memory",
            MapperDispatcher = "akka.actor.default-dispatcher",
            RegisterInterval = TimeSpan.FromHours(1),
            HousekeepingInterval = TimeSpan.FromHours(1),
            WorkerDeadline = TimeSpan.FromMinutes(5),
            LaneDirectory = _directory.FullName,
        }));
        Registration = Coordinator.ExpectMsg<RankProtocol.RegisterRank>(Patience);
        _link = OpenLink(Registration, serial: 1);
    }

    protected TestProbe Coordinator { get; }

    protected RankProtocol.RegisterRank Registration { get; private set; }

    internal abstract IRankLink OpenLink(RankProtocol.RegisterRank registration, long serial);

    [Fact]
    public void Decisions_should_be_carried_out_and_answered_in_order()
    {
        _link.Send(Open(PoolA));
        Assert.True(Next<RankProtocol.RankPoolAnswer>().IsOpen);
        var (expected, extents) = (LayoutDigest.Empty, new List<Extent>());
        for (var seq = 1; seq <= 48; seq++)
        {
            extents.Add(Extent(seq - 1, 0, (uint)seq));
            _link.Send(Map(PoolA, seq, extents[^1]));
        }

        for (var seq = 1; seq <= 48; seq++)
        {
            expected = expected.With(extents[seq - 1]);
            var answer = Next<RankProtocol.Decided>().Answer;
            Assert.Equal((seq, DecisionOutcome.Applied, expected), (answer.Seq, answer.Outcome, answer.Digest));
        }

        Assert.Equal(48, _rig.MappedIn(PoolA).Length);
        _link.Send(Unmap(PoolA, 49, [.. extents]));
        Assert.Equal(LayoutDigest.Empty, Next<RankProtocol.Decided>().Answer.Digest);
        _link.Send(new RankProtocol.CloseRankPool(Fifth, PoolA));
        Assert.False(Next<RankProtocol.RankPoolAnswer>().IsOpen);
        Assert.Empty(_rig.Pages.Snapshot().Pools);
    }

    [Fact]
    public void Tables_should_be_installed_and_reported()
    {
        _link.Send(new RankProtocol.ReportRank(Fifth));
        Assert.Empty(Next<RankProtocol.RankReported>().Pools);
        _link.Send(Open(PoolA));
        Next<RankProtocol.RankPoolAnswer>();
        ImmutableArray<TableEntry> entries = [.. Enumerable.Range(0, 32).Select(i => new TableEntry(Extent(i, 0, (uint)i + 1), Session, new RequestId(i)))];
        _link.Send(new RankProtocol.InstallTable(Fifth, PoolA, 5, entries));
        Assert.Equal(DigestOf([.. entries.Select(e => e.Extent)]), Next<RankProtocol.Decided>().Answer.Digest);

        _link.Send(new RankProtocol.ReportRank(Fifth));
        Assert.True(Assert.Single(Next<RankProtocol.RankReported>().Pools).Entries.ToHashSet().SetEquals(entries));
    }

    [Fact]
    public void Older_epochs_should_be_refused_by_the_rank()
    {
        _link.Send(new RankProtocol.ReportRank(Fifth));
        Next<RankProtocol.RankReported>();
        var older = new Epoch(4, 9);
        _link.Send(new RankProtocol.ReportRank(older));
        var refused = Next<RankProtocol.EpochRefused>();
        Assert.Equal((older, Fifth), (refused.Refused, refused.Current));
        _link.Send(new RankProtocol.Decide(Map(PoolA, 1, Extent(0, 0, 1)).Decision with { Epoch = older }));
        Assert.Equal(DecisionOutcome.StaleEpoch, Next<RankProtocol.Decided>().Answer.Outcome);
    }

    [Fact]
    public void News_should_come_to_the_coordinator_that_asked_last()
    {
        _link.Send(OpenForWorkers(PoolA));
        Next<RankProtocol.RankPoolAnswer>();
        var worker = new FakeWorker(_rig.State.Workers, 1) { AnswersAtOnce = true };
        worker.Attach(NameOf(PoolA));

        var news = Coordinator.FishForMessage<RankProtocol.WorkerChanged>(n => n.Worker == RankWorker.Attached, Patience);
        Assert.Equal(PoolA, news.Pool);
    }

    [Fact]
    public void Successor_of_a_failed_mapper_should_be_reached_by_a_new_link_only()
    {
        _link.Send(Open(PoolA));
        Next<RankProtocol.RankPoolAnswer>();
        _link.Send(Map(PoolA, 1, Extent(0, 1, 1)));
        var answered = Next<RankProtocol.Decided>().Answer;

        _supervisor.Tell(RankSupervisor.CrashMapper.Instance);
        Registration = Coordinator.FishForMessage<RankProtocol.RegisterRank>(r => !r.Mapper.Equals(Registration.Mapper), Patience);
        _link.Send(Map(PoolA, 2, Extent(2, 1, 2)));
        var link = OpenLink(Registration, serial: 2);
        link.Send(Map(PoolA, 1, Extent(0, 1, 1)));

        var again = Next<RankProtocol.Decided>().Answer;
        Assert.Equal((answered.Seq, answered.Outcome, answered.Digest), (again.Seq, again.Outcome, again.Digest));
        Assert.Equal(Extent(0, 1, 1), Assert.Single(_rig.MappedIn(PoolA)));
    }

    protected override void AfterAll()
    {
        Watch(_supervisor);
        Sys.Stop(_supervisor);
        ExpectTerminated(_supervisor, Patience);
        Assert.Empty(_directory.GetFiles());
        base.AfterAll();
        _rig.Dispose();
        _directory.Delete(recursive: true);
    }

    private T Next<T>() => Coordinator.FishForMessage<T>(_ => true, Patience);
}

/// <summary>The way by the mapper's actor.</summary>
public sealed class ActorRankLinkSpecs : RankLinkContract
{
    internal override IRankLink OpenLink(RankProtocol.RegisterRank registration, long serial) => new ActorRankLink(registration.Mapper, Coordinator);
}

/// <summary>The way by a lane.</summary>
public sealed class LaneRankLinkSpecs : RankLinkContract
{
    private LaneDialer? _dialer;

    internal override IRankLink OpenLink(RankProtocol.RegisterRank registration, long serial)
    {
        _dialer ??= new LaneDialer(Sys, Coordinator, TimeSpan.FromMinutes(1));
        Assert.Equal(MachineBoot.Id, registration.Lane!.BootId);
        _dialer.Dial(
            registration.Lane.SocketPath, new LaneHello(new LaneId(RankRig.Fifth, serial), registration.Domain, registration.Gpu, registration.Incarnation));
        return Coordinator.FishForMessage<LaneDialer.LaneOpened>(_ => true, TimeSpan.FromSeconds(60)).Link;
    }

    [Fact]
    public void Rank_should_say_when_a_lane_has_ended_and_all_of_it_was_taken_in()
    {
        OpenLink(Registration, 2).Close();
        var offer = Coordinator.FishForMessage<RankProtocol.RegisterRank>(r => r.Lane!.EndedSerial == 2, TimeSpan.FromSeconds(60)).Lane!;
        Assert.Equal(RankRig.Fifth, offer.EndedEpoch);
    }

    protected override void AfterAll()
    {
        _dialer?.Dispose();
        base.AfterAll();
    }
}
