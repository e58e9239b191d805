using Akka.Actor;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Lanes;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>Which way commands take, and when they may take another.</summary>
public sealed class RankLinksTests : TestKit
{
    private static readonly GpuId Gpu = TestPools.Gpu(0);
    private static readonly Epoch Epoch = new(3, 1);

    private readonly RankLinks _links = new();
    private readonly IActorRef _mapper;

    public RankLinksTests() => _mapper = CreateTestProbe("mapper");

    private static LaneId Serial(long serial) => new(Epoch, serial);

    [Fact]
    public void Register_NoLaneToBeHad_IsByActorAtOnce()
    {
        Assert.Equal(LinkStep.ByActor, _links.Register(Registration(_mapper), Epoch, mayDial: false, out _, out var isNew));
        Assert.True(isNew);
        var link = new SpyLink();
        _links.Use(Gpu, link, out var hasPredecessor);
        Assert.False(hasPredecessor);

        Assert.Equal(LinkStep.Known, _links.Register(Registration(_mapper), Epoch, mayDial: false, out _, out isNew));
        Assert.False(isNew);
        Assert.True(_links.TryGet(Gpu, out var found));
        Assert.Same(link, found);
    }

    [Fact]
    public void Register_LaneAskedFor_NothingIsSentUntilItIsAnswered()
    {
        Assert.Equal(LinkStep.Dial, _links.Register(Registration(_mapper), Epoch, mayDial: true, out var lane, out _));
        Assert.Equal(Serial(1), lane);
        Assert.False(_links.TryGet(Gpu, out _));
        Assert.Equal(LinkStep.Wait, _links.Register(Registration(_mapper) with { IsRecovering = true }, Epoch, mayDial: true, out _, out _));
        Assert.True(_links.IsDialling(Gpu, lane));
        Assert.False(_links.IsDialling(Gpu, Serial(2)));

        // What it said last counts.
        Assert.True(_links.Use(Gpu, new SpyLink(), out var hasPredecessor).IsRecovering);
        Assert.False(hasPredecessor);
        Assert.False(_links.IsDialling(Gpu, lane));
        Assert.True(_links.TryGet(Gpu, out _));
    }

    [Fact]
    public void Break_LaneLost_WaitsUntilTheRankSaysThatAllOfItWasTakenIn()
    {
        OpenLane();
        Assert.True(_links.Break(Gpu, Serial(1)));
        Assert.False(_links.Break(Gpu, Serial(1)));
        Assert.False(_links.TryGet(Gpu, out _));
        Assert.False(Assert.Single(_links.Of(_ => true)).IsOpen);

        Assert.Equal(LinkStep.Wait, _links.Register(Registration(_mapper), Epoch, mayDial: true, out _, out _));
        Assert.Equal(LinkStep.Wait, _links.Register(Registration(_mapper, ended: 0), Epoch, mayDial: true, out _, out _));
        Assert.Equal(LinkStep.Wait, _links.Register(Registration(_mapper, ended: 9, epoch: new Epoch(2, 9)), Epoch, mayDial: true, out _, out _));
        Assert.Equal(LinkStep.ByActor, _links.Register(Registration(_mapper, ended: 1), Epoch, mayDial: true, out _, out var isNew));

        Assert.False(isNew);
        _links.Use(Gpu, new ActorRankLink(_mapper, TestActor), out var hasPredecessor);
        Assert.True(hasPredecessor);
        Assert.Equal(LinkStep.Known, _links.Register(Registration(_mapper, ended: 1), Epoch, mayDial: true, out _, out _));

        // Its end is told late, or twice: the link of now isn't that lane.
        Assert.False(_links.Break(Gpu, Serial(1)));
        Assert.True(_links.TryGet(Gpu, out _));
    }

    [Fact]
    public void Register_AnotherMapper_GetsALaneOfItsOwnAndTheOldLinkIsLetGo()
    {
        var first = OpenLane();
        var successor = CreateTestProbe();
        Assert.Equal(LinkStep.Dial, _links.Register(Registration(successor), Epoch, mayDial: true, out var lane, out var isNew));
        Assert.True(isNew);
        Assert.True(first.IsClosed);
        Assert.Equal(Serial(2), lane);
        Assert.False(_links.Break(Gpu, Serial(1)));

        _links.Use(Gpu, new SpyLink(), out var hasPredecessor);
        Assert.True(hasPredecessor);
        Assert.True(_links.TryGetIncarnation(Gpu, successor, out _));
        Assert.False(_links.TryGetIncarnation(Gpu, _mapper, out _));
    }

    [Fact]
    public void Register_AnotherHostOfThatGpu_HasNoPredecessor()
    {
        OpenLane();
        _links.Register(Registration(CreateTestProbe()) with { Incarnation = new HostIncarnation(99) }, Epoch, mayDial: false, out _, out _);
        _links.Use(Gpu, new SpyLink(), out var hasPredecessor);
        Assert.False(hasPredecessor);
    }

    [Fact]
    public void Clear_AllLinks_AreLetGoAndLaterLanesAreAbove()
    {
        var link = OpenLane();
        _links.Clear();
        Assert.True(link.IsClosed);
        Assert.False(_links.TryGet(Gpu, out _));
        Assert.Empty(_links.Mappers);

        _links.Register(Registration(_mapper), new Epoch(4, 1), mayDial: true, out var lane, out _);
        Assert.True(lane > Serial(1));
    }

    [Fact]
    public void Remove_Rank_LetsGoOfItsLink()
    {
        var link = OpenLane();
        _links.Remove(Gpu);
        Assert.True(link.IsClosed);
        Assert.False(_links.TryGet(Gpu, out _));
        _links.Remove(Gpu);
    }

    private SpyLink OpenLane()
    {
        _links.Register(Registration(_mapper), Epoch, mayDial: true, out _, out _);
        var link = new SpyLink();
        _links.Use(Gpu, link, out _);
        return link;
    }

    private static RankProtocol.RegisterRank Registration(IActorRef mapper, long? ended = null, Epoch? epoch = null) =>
        new(Gpu, new HostIncarnation(7), "test", mapper, 64, 2, "host", "probe", default)
        {
            Lane = ended is { } serial ? new LaneOffer("boot", "/path", epoch ?? Epoch, serial) : null,
        };

    private sealed class SpyLink : IRankLink
    {
        public bool IsClosed { get; private set; }

        public void Send(RankProtocol.ICommand command)
        {
            // Nothing is sent here.
        }

        public void Close() => IsClosed = true;
    }
}
