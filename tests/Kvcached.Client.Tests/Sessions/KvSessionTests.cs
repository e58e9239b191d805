using Kvcached.Client.Tests.Support;
using Kvcached.Client.Threads;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Client.Tests.Sessions;

/// <summary>A scheduler against a host that the test plays, over real sockets.</summary>
public sealed class KvSessionTests : IDisposable
{
    private readonly PairConnector _connector = new();
    private readonly List<HostConnection> _connections = [];

    public void Dispose() => _connections.ForEach(c => c.Dispose());

    [Fact]
    public async Task Open_NoHost_IsRefusedInTime()
    {
        _connector.IsUp = false;
        var result = await Task.Run(() => KvSession.Open(Options() with { ConnectTimeout = TimeSpan.FromMilliseconds(50) }, _connector, BootTime.Instance));
        Assert.Equal(RefusalReason.HostUnreachable, result.Refusal?.Reason);
    }

    [Fact]
    public async Task Open_HostOfAnotherDomain_IsRefused()
    {
        var opening = Task.Run(() => KvSession.Open(Options() with { Domain = "other" }, _connector, BootTime.Instance));
        Accept();
        Assert.Equal(RefusalReason.UnknownDomain, (await opening).Refusal?.Reason);
    }

    [Fact]
    public async Task OpenPool_GrowAllocateClose_GoesThroughTheHost()
    {
        var before = ProcessFacts.CountDescriptorsToClose();
        var session = await Open();
        var host = _connections[^1];
        var opening = Task.Run(() => session.OpenPool(TestPool.Spec(), TimeSpan.FromSeconds(30)));
        var open = host.Expect<EngineProtocol.OpenPool>();
        Assert.Equal("pool", open.Spec.Name);
        host.Say(new EngineProtocol.PoolOpened(session.Id, open.Request, TestPool.Id, []));
        var pool = (await opening).Value!;
        var keep = host.Expect<SocketProtocol.KeepTags>(out var journal);
        Assert.Equal((TestPool.Id, 1), (keep.Pool, journal.Count));
        Assert.Equal(keep.FileBytes, RandomAccess.GetLength(journal[0]));

        var growing = Task.Run(() => pool.Grow(0, 2, TimeSpan.FromSeconds(30)));
        var asked = host.Expect<EngineProtocol.AllocatePages>();
        host.Say(new EngineProtocol.PagesAllocated(session.Id, asked.Request, TestPool.Id, [TestPool.Extent(0, order: 1)]));
        Assert.Equal(2, (await growing).Value);
        Assert.True(pool.TryAllocate(0, new BlockId[15]));

        var closing = Task.Run(session.Dispose);
        host.Expect<EngineProtocol.CloseSession>();
        host.Say(new EngineProtocol.SessionClosed(session.Id));
        await closing;
        Assert.NotNull(pool.Withdrawn);
        Assert.Equal(before, ProcessFacts.CountDescriptorsToClose());
        journal.ForEach(d => d.Dispose());
    }

    [Fact]
    public async Task OpenPool_HostHandsTagsOver_RestoresThem()
    {
        using var session = await Open();
        var host = _connections[^1];
        var port = new FakePort();
        using var predecessor = new KvPool(TestPool.Id, TestPool.Spec(), new KvPoolOptions { HasNullBlock = false }, port);
        predecessor.TakeOver([TestPool.Extent(0)], null);
        var blocks = new BlockId[1];
        Assert.True(predecessor.TryAllocate(0, blocks));
        Assert.True(predecessor.Tag(0, blocks[0], [1, 2]).IsNone);

        var opening = Task.Run(() => session.OpenPool(TestPool.Spec(), TimeSpan.FromSeconds(30)));
        var open = host.Expect<EngineProtocol.OpenPool>();
        var (descriptor, bytes) = predecessor.Journal!.Value;
        using var copy = UnixMessageChannel.Duplicate(descriptor);
        host.Say(new SocketProtocol.PoolTags(session.Id, TestPool.Id, bytes), copy);
        host.Say(new EngineProtocol.PoolOpened(session.Id, open.Request, TestPool.Id, [TestPool.Extent(0)]));
        var pool = (await opening).Value!;
        Assert.Equal(blocks[0], Assert.Single(pool.EnumerateTagged(0)).Block);
        Answer(session, host);
    }

    [Fact]
    public async Task LostHost_ComesBackWithinTheLease_SessionGoesOnAndOpenRequestsAreAnswered()
    {
        using var session = await Open();
        var id = session.Id;
        var host = _connections[^1];
        var opening = Task.Run(() => session.OpenPool(TestPool.Spec(), TimeSpan.FromSeconds(30)));
        var first = host.Expect<EngineProtocol.OpenPool>();
        host.Dispose();

        var next = Accept();
        Assert.Equal(id, next.Expect<EngineProtocol.OpenSession>().Session);
        next.Say(new EngineProtocol.SessionOpened(id, new Epoch(2, 1), TimeSpan.FromMinutes(5)));
        var again = next.Expect<EngineProtocol.OpenPool>();
        Assert.Equal(first.Request, again.Request);
        next.Say(new EngineProtocol.PoolOpened(id, again.Request, TestPool.Id, []));
        Assert.Null((await opening).Refusal);
        Answer(session, next);
    }

    [Fact]
    public async Task OpenPool_AnsweredTooLate_IsClosedAgain()
    {
        using var session = await Open();
        var host = _connections[^1];
        var result = await Task.Run(() => session.OpenPool(TestPool.Spec(), TimeSpan.FromMilliseconds(10)));
        Assert.Equal(RefusalReason.DeadlineExceeded, result.Refusal?.Reason);
        var open = host.Expect<EngineProtocol.OpenPool>();
        host.Say(new EngineProtocol.PoolOpened(session.Id, open.Request, TestPool.Id, []));
        Assert.Equal(TestPool.Id, host.Expect<EngineProtocol.ClosePool>().Pool);
        Answer(session, host);
    }

    [Fact]
    public async Task OpenPool_BadGeometry_IsRefusedWithoutAsking()
    {
        using var session = await Open();
        var spec = TestPool.Spec() with { Geometry = TestPool.Spec().Geometry with { VirtualPageCounts = [0] } };
        Assert.Equal(RefusalReason.BadGeometry, session.OpenPool(spec, TimeSpan.FromSeconds(1)).Refusal?.Reason);
        Answer(session, _connections[^1]);
    }

    private static KvSessionOptions Options() => new()
    {
        SocketPath = "none", EngineName = "engine", ReconnectInterval = TimeSpan.FromMilliseconds(5), CloseTimeout = TimeSpan.FromSeconds(30),
    };

    /// <summary>Has the session's end confirmed, once it is asked for.</summary>
    private static void Answer(KvSession session, HostConnection host) => Task.Run(() =>
    {
        host.Expect<EngineProtocol.CloseSession>();
        host.Say(new EngineProtocol.SessionClosed(session.Id));
    });

    private HostConnection Accept()
    {
        _connections.Add(_connector.Accept());
        return _connections[^1];
    }

    private async Task<KvSession> Open()
    {
        var opening = Task.Run(() => KvSession.Open(Options(), _connector, BootTime.Instance));
        var host = Accept();
        Assert.Equal(EngineRole.Scheduler, host.Hello?.Role);
        host.Say(new EngineProtocol.SessionOpened(host.Expect<EngineProtocol.OpenSession>().Session, new Epoch(1, 1), TimeSpan.FromMinutes(5)));
        var result = await opening;
        Assert.Null(result.Refusal);
        return result.Value!;
    }
}
