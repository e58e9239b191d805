using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Kvcached.Core.Workers;
using Kvcached.Host.Gateway;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Gateway;

/// <summary>What the gateway makes of schedulers' connections.</summary>
[Collection(DescriptorCounting.Name)]
public sealed class SchedulerConnectionTests
{
    private static readonly PoolId Pool = PoolId.Create(1, 1);

    [Fact]
    public async Task Commands_OfItsSession_AreRelayedAndAnswersComeBack()
    {
        using var rig = new GatewayRig();
        using var engine = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        var session = Open(rig, engine);

        engine.Say(new EngineProtocol.OpenPool(session.Id, new RequestId(1), default, RawEngine.Spec() with { OwnerUserId = 77 }));
        var open = Assert.IsType<EngineProtocol.OpenPool>(rig.NextOfSessions().Command);
        Assert.Equal(session.Noted.Line!.UserId, open.Spec.OwnerUserId);

        var answer = new EngineProtocol.PoolOpened(session.Id, new RequestId(1), Pool, []);
        session.Noted.Line.Deliver(answer);
        Assert.Equal(Pool, (await engine.HearAsync<EngineProtocol.PoolOpened>()).Pool);
    }

    [Fact]
    public async Task Commands_OfAnotherSession_AreRefusedAndGoNowhere()
    {
        using var rig = new GatewayRig();
        using var owner = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        using var other = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        var session = Open(rig, owner);

        other.Say(new EngineProtocol.ClosePool(session.Id, new RequestId(9), default, Pool));
        var refused = await other.HearAsync<EngineProtocol.RequestRefused>();
        Assert.Equal((new RequestId(9), RefusalReason.NotAllowed), (refused.Request, refused.Refusal.Reason));
        other.Say(new EngineProtocol.CloseSession(session.Id));
        Assert.Equal(RefusalReason.NotAllowed, (await other.HearAsync<EngineProtocol.SessionRefused>()).Refusal.Reason);
        other.Say(new EngineProtocol.ReportWarmExtents(SessionId.New(), Pool, []));
        Assert.Equal(RefusalReason.NotAllowed, (await other.HearAsync<EngineProtocol.SessionRefused>()).Refusal.Reason);
        Assert.Empty(rig.Told);
    }

    [Fact]
    public async Task Session_OpenedAgainOverAnotherConnection_MovesThere()
    {
        using var rig = new GatewayRig();
        using var first = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        var session = Open(rig, first);
        first.Dispose();
        Assert.Equal("detach", rig.NextOfSessions().What);

        using var second = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        second.Say(new EngineProtocol.OpenSession(session.Id, "test", "default"));
        Assert.Equal("attach", rig.NextOfSessions().What);
        Assert.Equal("command", rig.NextOfSessions().What);
        session.Noted.Line!.Deliver(new EngineProtocol.SessionClosed(session.Id));
        await second.HearAsync<EngineProtocol.SessionClosed>();
        Assert.Single(rig.Sessions);
    }

    [Fact]
    public async Task Process_ThatEnds_EndsItsSessionsAtOnceButALostSocketDoesNot()
    {
        using var rig = new GatewayRig(hasStranger: true);
        using var lost = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        using var open = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        var left = Open(rig, lost);
        var kept = Open(rig, open);
        lost.Dispose();
        Assert.Equal((left.Id, "detach", null), rig.NextOfSessions());
        Assert.Empty(rig.Told);

        rig.EndStranger();

        Assert.Equal((kept.Id, "detach", null), rig.NextOfSessions());
        Assert.Equal(
            new[] { left.Id, kept.Id }.ToHashSet(), new[] { rig.NextOfSessions(), rig.NextOfSessions() }.Where(told => told.What == "died").Select(told => told.Session).ToHashSet());
        await rig.UntilAsync(() => rig.Gateway.ConnectionCount == 0 && rig.Gateway.Processes.Count == 0);
    }

    [Fact]
    public async Task Sessions_MoreThanAllowed_AreRefused()
    {
        using var rig = new GatewayRig(new GatewayOptions { MaxSessionsPerConnection = 2 });
        using var engine = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        var first = Open(rig, engine);
        Open(rig, engine);
        engine.Say(new EngineProtocol.OpenSession(SessionId.New(), "test", "default"));
        Assert.Equal(RefusalReason.Busy, (await engine.HearAsync<EngineProtocol.SessionRefused>()).Refusal.Reason);

        first.Noted.End();
        await rig.UntilAsync(() => rig.Gateway.Schedulers.Count == 1);
        Open(rig, engine);
    }

    [Fact]
    public async Task Commands_NotPassedOn_AreReadNoFurtherUntilTheyAre()
    {
        using var rig = new GatewayRig(new GatewayOptions { MaxWaitingCommands = 4 });
        using var engine = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        var session = Open(rig, engine);
        session.Noted.TakesCommands = false;
        for (var i = 1; i <= 20; i++)
        {
            engine.Say(new EngineProtocol.ClosePool(session.Id, new RequestId(i), default, Pool));
        }

        await rig.UntilAsync(() => rig.Told.Count == 4);
        await rig.UntilAsync(() => true);
        Assert.Equal(4, rig.Told.Count);
        for (var i = 1; i <= 20; i++)
        {
            Assert.Equal(new RequestId(i), Assert.IsType<EngineProtocol.ClosePool>(rig.NextOfSessions().Command).Request);
            session.Noted.Line!.CommandTaken();
        }
    }

    [Fact]
    public async Task Scheduler_ThatReadsNothing_LosesItsConnectionAndNobodyElseDoes()
    {
        using var rig = new GatewayRig(new GatewayOptions { MaxWaitingBytes = 1 << 20, CloseDeadline = TimeSpan.FromMilliseconds(50) });
        using var deaf = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        using var other = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        var session = Open(rig, deaf);
        var theirs = Open(rig, other);
        var large = new EngineProtocol.SessionRefused(session.Id, new Refusal(RefusalReason.Busy, new string('x', 100_000)));
        await rig.UntilAsync(() =>
        {
            session.Noted.Line!.Deliver(large);
            return rig.Gateway.ConnectionCount == 1;
        });

        Assert.Equal("detach", rig.NextOfSessions().What);
        theirs.Noted.Line!.Deliver(new EngineProtocol.SessionClosed(theirs.Id));
        await other.HearAsync<EngineProtocol.SessionClosed>();
    }

    [Fact]
    public async Task Tags_OfADeadScheduler_ComeToTheNextBeforeItsPool()
    {
        using var rig = new GatewayRig(hasStranger: true);
        var before = GatewayRig.OpenDescriptors();
        using var path = new TemporaryTags("kept tags");
        using (var first = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler))
        {
            var session = Open(rig, first);
            using var file = path.Open();
            first.Say(new SocketProtocol.KeepTags(session.Id, Pool, 9), file);
            await rig.UntilAsync(() => rig.Gateway.Tags.Count == 1);
        }

        using (var second = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler))
        {
            Assert.Equal("detach", rig.NextOfSessions().What);
            var next = Open(rig, second);
            next.Noted.Line!.Deliver(new EngineProtocol.PoolOpened(next.Id, new RequestId(1), Pool, []));
            var tags = Assert.IsType<SocketProtocol.PoolTags>(await second.HearAsync());
            Assert.Equal((next.Id, Pool, 9L), (tags.Session, tags.Pool, tags.FileBytes));
            Assert.Equal("kept tags", TemporaryTags.Read(Assert.Single(second.Descriptors)));
            Assert.IsType<EngineProtocol.PoolOpened>(await second.HearAsync());
            next.Noted.Line.Deliver(new EngineProtocol.PoolClosed(next.Id, new RequestId(2), Pool));
            Assert.IsType<EngineProtocol.PoolClosed>(await second.HearAsync());
            Assert.Equal(0, rig.Gateway.Tags.Count);
        }

        rig.EndStranger();
        await rig.UntilAsync(() => rig.Gateway.ConnectionCount == 0 && rig.Gateway.Processes.Count == 0);
        await rig.UntilAsync(() => GatewayRig.OpenDescriptors() <= before);
    }

    [Fact]
    public async Task Tags_KeptByAnotherHostOfTheMachine_ComeToTheNextSchedulerWhileThatOneLives()
    {
        using var path = new TemporaryTags("kept tags");
        var directory = Directory.CreateTempSubdirectory("kvcached-tags-");
        using var rig = new GatewayRig(tagDirectory: directory.FullName);
        using var second = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        var next = Open(rig, second);
        using (var other = new GatewayRig(tagDirectory: directory.FullName))
        {
            using var first = await RawEngine.GreetAsync(other.SocketPath, EngineRole.Scheduler);
            using var file = path.Open();
            first.Say(new SocketProtocol.KeepTags(Open(other, first).Id, Pool, 9), file);
            await other.UntilAsync(() => other.Gateway.Tags.Count == 1);
            next.Noted.Line!.Deliver(new EngineProtocol.PoolOpened(next.Id, new RequestId(1), Pool, []));
            Assert.Equal(9, Assert.IsType<SocketProtocol.PoolTags>(await second.HearAsync()).FileBytes);
            Assert.Equal("kept tags", TemporaryTags.Read(Assert.Single(second.Descriptors)));
            Assert.IsType<EngineProtocol.PoolOpened>(await second.HearAsync());
        }

        Assert.Empty(Directory.GetFiles(directory.FullName));
        next.Noted.Line!.Deliver(new EngineProtocol.PoolOpened(next.Id, new RequestId(2), Pool, []));
        Assert.IsType<EngineProtocol.PoolOpened>(await second.HearAsync());
        directory.Delete(recursive: true);
    }

    [Fact]
    public void Places_ThatAreNotWhatIsSaid_AreNotBelieved()
    {
        var directory = Directory.CreateTempSubdirectory("kvcached-tags-");
        using var path = new TemporaryTags("kept tags");
        using var file = path.Open();
        var places = new TagPlaces(directory.FullName);
        places.Note(Pool, file, 7);
        var entry = Assert.Single(Directory.GetFiles(directory.FullName));
        var said = File.ReadAllText(entry).Split(' ');
        using (var found = places.Find(Pool, 7, out var bytes))
        {
            Assert.Equal((9, "kept tags"), (bytes, TemporaryTags.Read(found!)));
        }

        Assert.Null(places.Find(Pool, 8, out _));
        foreach (var (word, other) in ((int, string)[])[(0, "1"), (0, "999999999"), (1, "0"), (1, "77777"), (2, "1"), (3, "8"), (4, "x")])
        {
            string[] changed = [.. said];
            changed[word] = other;
            File.WriteAllText(entry, string.Join(' ', changed));
            Assert.Null(places.Find(Pool, 7, out _));
        }

        File.WriteAllText(entry, "nonsense");
        Assert.Null(places.Find(Pool, 7, out _));
        directory.Delete(recursive: true);
    }

    [Theory]
    [InlineData(8, false)]
    [InlineData(0, false)]
    [InlineData(-1, false)]
    [InlineData(9, true)]
    public async Task Tags_ThatAreNotWhatIsSaid_EndTheConnection(long statedBytes, bool isDirectory)
    {
        using var rig = new GatewayRig();
        using var engine = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        var session = Open(rig, engine);
        using var path = new TemporaryTags("kept tags");
        using var file = isDirectory ? TemporaryTags.OpenDirectory() : path.Open();

        engine.Say(new SocketProtocol.KeepTags(session.Id, Pool, statedBytes), file);

        var rejected = await engine.HearAsync<SocketProtocol.Rejected>();
        Assert.True(rejected.Refusal.Reason is RefusalReason.InvalidMessage or RefusalReason.InvalidCount);
        Assert.Null(await engine.HearAsync());
        Assert.Equal(0, rig.Gateway.Tags.Count);
    }

    [Fact]
    public async Task Messages_OfAWorkerOrOfTheHost_EndTheConnection()
    {
        using var rig = new GatewayRig();
        foreach (var message in new object[] { WorkerProtocol.Detach.Instance, new EngineProtocol.SessionClosed(SessionId.New()), RawEngine.Hello(EngineRole.Scheduler) })
        {
            using var engine = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
            engine.Say(message);
            Assert.Equal(RefusalReason.InvalidMessage, Assert.IsType<SocketProtocol.Rejected>(await engine.HearAsync()).Refusal.Reason);
            Assert.Null(await engine.HearAsync());
        }
    }

    private static (SessionId Id, GatewayRig.NotedSession Noted) Open(GatewayRig rig, RawEngine engine)
    {
        var id = SessionId.New();
        engine.Say(new EngineProtocol.OpenSession(id, "test", "default"));
        Assert.Equal((id, "attach", null), rig.NextOfSessions());
        Assert.Equal(new EngineProtocol.OpenSession(id, "test", "default"), rig.NextOfSessions().Command);
        return (id, rig.Sessions[id]);
    }
}
