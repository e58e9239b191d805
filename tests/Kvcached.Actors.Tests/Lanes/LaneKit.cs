using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Hosting;
using Kvcached.Actors.Lanes;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Actors.Tests.Lanes;

/// <summary>Both ends of lanes over a real socket: the rank's, with a probe in place of the page mapper, and the coordinator's, with a probe in its place.</summary>
public abstract class LaneKit : TestKit
{
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    protected static readonly HostIncarnation Incarnation = new(77);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kvcached-lane-");

    protected LaneKit()
        : base(KvcachedHocon.Load("serialization"))
    {
        Mapper = CreateTestProbe("mapper");
        Coordinator = CreateTestProbe("coordinator");
        Server = LaneServer.TryOpen(Sys, _directory.FullName, "test", TestPools.Gpu(0), Incarnation, out var problem, Patience)!;
        Assert.Null(problem);
        Server.Use(Mapper);
        Dialer = new LaneDialer(Sys, Coordinator, Patience);
    }

    protected TestProbe Mapper { get; }

    protected TestProbe Coordinator { get; }

    internal LaneServer Server { get; }

    internal LaneDialer Dialer { get; }

    protected static Epoch Fifth { get; } = new(5, 1);

    internal static LaneHello Hello(long serial, long counter = 5) => new(new LaneId(new Epoch(counter, 1), serial), "test", TestPools.Gpu(0), Incarnation);

    internal IRankLink Open(long serial, long counter = 5)
    {
        Dialer.Dial(Server.Path, Hello(serial, counter));
        return Coordinator.FishForMessage<LaneDialer.LaneOpened>(opened => opened.Hello == Hello(serial, counter), Patience).Link;
    }

    internal string Refused(LaneHello hello)
    {
        Dialer.Dial(Server.Path, hello);
        return Coordinator.ExpectMsg<LaneDialer.LaneFailed>(Patience).Why;
    }

    /// <summary>Connects to the rank's socket as nobody should.</summary>
    protected UnixMessageChannel Connect()
    {
        Assert.True(UnixMessageChannel.TryConnect(Server.Path, Patience, out var channel, out var failure), failure?.Text);
        return channel!;
    }

    internal static RankProtocol.Decide Decision(long seq) => new(new Decision(
        PoolId.Create(5, 1), Fifth, seq, DecisionKind.Map, [new Extent(0, new PageId(0), 4, (uint)seq)], 0, SessionId.New(), new RequestId(seq), default, EngineStep.None));

    internal static RankProtocol.Decided Answer(long seq, HostIncarnation? incarnation = null) => new(new DecisionAnswer(
        PoolId.Create(5, 1), Fifth, seq, seq, TestPools.Gpu(0), incarnation ?? Incarnation, DecisionOutcome.Applied, LayoutDigest.Empty, null, [], 1));

    /// <summary>Commands come to the mapper, and answers to the coordinator: nothing that happened before has broken the lane.</summary>
    internal void AssertWorks(IRankLink link, long seq)
    {
        link.Send(Decision(seq));
        Assert.Equal(seq, Mapper.ExpectMsg<RankProtocol.Decide>(Patience).Decision.Seq);
        Mapper.LastSender.Tell(Answer(seq), Mapper);
        Assert.Equal(seq, Coordinator.ExpectMsg<RankProtocol.Decided>(Patience).Answer.Seq);
    }

    protected override void AfterAll()
    {
        Dialer.Dispose();
        Server.Dispose();
        Assert.False(File.Exists(Server.Path));
        base.AfterAll();
        _directory.Delete(recursive: true);
    }
}
