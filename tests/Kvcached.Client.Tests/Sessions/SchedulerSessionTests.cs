using Kvcached.Client.Sessions;
using Kvcached.Client.Tests.Support;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Scheduling;
using Kvcached.Core.Sockets;

namespace Kvcached.Client.Tests.Sessions;

public sealed class SchedulerSessionTests : IDisposable
{
    private static readonly TimeSpan s_lease = TimeSpan.FromSeconds(3);

    private readonly ManualTime _time = new();
    private readonly LeaseFence _lease;
    private readonly SchedulerSession _session;
    private readonly FakePort _port = new();
    private readonly FakeLine _line = new();
    private KvPool? _pool;

    public SchedulerSessionTests()
    {
        _lease = new LeaseFence(_time);
        _session = new SchedulerSession(new KvSessionOptions { SocketPath = "none", EngineName = "engine" }, _time, _lease);
    }

    public void Dispose() => _pool?.Dispose();

    [Fact]
    public void Connected_First_AsksForTheSession()
    {
        _session.Connected(_line);
        var asked = Assert.IsType<EngineProtocol.OpenSession>(Assert.Single(_line.Sent));
        Assert.Equal((_session.Id, "engine", "default"), (asked.Session, asked.EngineName, asked.Domain));
        Assert.False(_session.IsOpened);
        Open();
        Assert.True(_session.IsOpened);
    }

    [Fact]
    public void Upkeep_SessionOpen_RenewsAtEveryThirdOfTheLease()
    {
        Connect();
        _time.Advance(0.9);
        _session.Upkeep();
        Assert.Empty(_line.Sent);
        _time.Advance(0.2);
        _session.Upkeep();
        Assert.IsType<EngineProtocol.OpenSession>(Assert.Single(_line.Sent));
    }

    [Fact]
    public void Upkeep_LeaseNotRenewed_EndsTheSessionAndItsPoolsSoonerThanTheCoordinatorDoes()
    {
        Connect();
        var pool = AddPool();
        var request = Submit();
        _time.Advance(2.69);
        _session.Upkeep();
        Assert.Null(_session.Ended);
        _time.Advance(0.02);
        Assert.False(_lease.IsHeld);
        _session.Upkeep();
        Assert.Equal(RefusalReason.UnknownSession, _session.Ended?.Reason);
        Assert.Equal(RefusalReason.UnknownSession, pool.Withdrawn?.Reason);
        Assert.IsType<EngineProtocol.RequestRefused>(request.Answer);
    }

    [Fact]
    public void SessionOpened_AfterAnswersWereLost_RenewsAtOnceSinceLittleOfTheLeaseIsSure()
    {
        Connect();
        _time.Advance(1.1);
        _session.Upkeep();
        _session.Disconnected();
        _time.Advance(1.4);
        var next = new FakeLine();
        _session.Connected(next);
        Open();
        Assert.Equal(2, next.Sent.OfType<EngineProtocol.OpenSession>().Count());
        Open();
        Assert.Equal(2, next.Sent.OfType<EngineProtocol.OpenSession>().Count());
        _time.Advance(2.6);
        Assert.True(_lease.IsHeld);
    }

    [Fact]
    public void Connected_AgainWithinTheLease_ResendsUnderTheSameIdsWithTheSameSession()
    {
        Connect();
        var pool = AddPool();
        Submit();
        Submit();
        var before = _line.Sent.OfType<EngineProtocol.AllocatePages>().ToArray();
        _session.Disconnected();
        var next = new FakeLine();
        _session.Connected(next);
        Assert.IsType<EngineProtocol.OpenSession>(next.Sent[0]);
        Assert.Equal(pool.Id, Assert.IsType<SocketProtocol.KeepTags>(next.Sent[1]).Pool);
        Assert.Equal(before, next.Sent.Skip(2));
    }

    [Fact]
    public void Upkeep_NoAnswer_SendsAgainUnderTheSameId()
    {
        Connect();
        Submit();
        _time.Advance(2.1);
        Renew();
        _session.Upkeep();
        var sent = _line.Sent.OfType<EngineProtocol.AllocatePages>().ToArray();
        Assert.Equal(2, sent.Length);
        Assert.Equal(sent[0].Request, sent[1].Request);
    }

    [Fact]
    public void Submit_AfterAnswers_AcknowledgesThem()
    {
        Connect();
        Submit();
        Submit();
        Receive(new EngineProtocol.RequestRefused(_session.Id, new RequestId(1), new Refusal(RefusalReason.OutOfMemory, "No.")));
        Submit();
        Assert.Equal(new RequestId(1), _line.Sent.OfType<EngineProtocol.AllocatePages>().Last().AckedThrough);
    }

    [Fact]
    public void PagesAllocated_Late_AreUsedAllTheSame()
    {
        Connect();
        var pool = AddPool();
        Submit();
        Receive(new EngineProtocol.PagesAllocated(_session.Id, new RequestId(1), pool.Id, [TestPool.Extent(3)]));
        Assert.Equal([TestPool.Extent(3)], pool.Extents(0));
    }

    [Fact]
    public void PagesAllocated_TwiceWithOtherPages_GivesTheSecondBack()
    {
        Connect();
        var pool = AddPool();
        Submit();
        Receive(new EngineProtocol.PagesAllocated(_session.Id, new RequestId(1), pool.Id, [TestPool.Extent(3)]));
        Receive(new EngineProtocol.PagesAllocated(_session.Id, new RequestId(1), pool.Id, [TestPool.Extent(3)]));
        Assert.Empty(_line.Sent.OfType<EngineProtocol.FreeExtents>());
        Receive(new EngineProtocol.PagesAllocated(_session.Id, new RequestId(1), pool.Id, [TestPool.Extent(5, generation: 9)]));
        Assert.Equal([TestPool.Extent(5, generation: 9)], Assert.Single(_line.Sent.OfType<EngineProtocol.FreeExtents>()).Extents.ToArray());
    }

    [Fact]
    public void Revoke_WarmAndUsed_FreesTheWarmBeforeItAnswers()
    {
        Connect();
        var pool = AddPool();
        pool.Add([TestPool.Extent(0), TestPool.Extent(1, generation: 2)]);
        var blocks = new BlockId[9];
        Assert.True(pool.TryAllocate(0, blocks));
        Assert.True(pool.Free(0, blocks.AsSpan(0, 8), new EngineStep(6)).IsNone);
        var warm = pool.Extents(0).Single(e => e.First.Value == blocks[0].Value / TestPool.BlocksPerPage);
        _line.Sent.Clear();
        Receive(new EngineProtocol.RevokeExtents(_session.Id, pool.Id, 42, [.. pool.Extents(0)]));
        var freed = Assert.IsType<EngineProtocol.FreeExtents>(_line.Sent[0]);
        var answered = Assert.IsType<EngineProtocol.RevokeAnswered>(_line.Sent[1]);
        Assert.Equal([warm], freed.Extents.ToArray());
        Assert.Equal(new EngineStep(6), freed.Fence);
        Assert.Equal((42, new EngineStep(6)), (answered.RevokeId, answered.Fence));
        Assert.Equal([warm], answered.GivenUp.ToArray());
    }

    [Fact]
    public void Shrink_WarmCachedAndUsed_GivesTheCheapestAtOnceAndTheRestAsItIsFreed()
    {
        Connect();
        var pool = AddPool();
        var asked = new List<ShrinkAsked>();
        var evicted = new List<BlockId>();
        pool.ShrinkAsked += asked.Add;
        pool.Evicted += (_, block, _) => evicted.Add(block);
        pool.Add([.. Enumerable.Range(0, 4).Select(page => TestPool.Extent(page, generation: (uint)page + 1))]);
        var blocks = new BlockId[3 * TestPool.BlocksPerPage];
        Assert.True(pool.TryAllocate(0, blocks));
        var byPage = blocks.GroupBy(b => b.Value / TestPool.BlocksPerPage).OrderBy(g => g.Key).Select(g => g.ToArray()).ToArray();
        Assert.Equal([TestPool.BlocksPerPage, TestPool.BlocksPerPage, TestPool.BlocksPerPage], byPage.Select(b => b.Length));
        var warm = pool.Extents(0).Single(e => byPage.All(page => page[0].Value / TestPool.BlocksPerPage != e.First.Value));

        // One page loses two cached blocks, another one; the third is in use.
        Assert.True(pool.Cache(0, byPage[0][0], "a"u8, new EngineStep(3)).IsNone && pool.Cache(0, byPage[0][1], "b"u8, new EngineStep(3)).IsNone);
        Assert.True(pool.Free(0, byPage[0].AsSpan(2), new EngineStep(3)).IsNone);
        Assert.True(pool.Cache(0, byPage[1][0], "c"u8, new EngineStep(4)).IsNone && pool.Free(0, byPage[1].AsSpan(1), new EngineStep(4)).IsNone);
        var bytesPerPage = TestPool.Spec().Geometry.Ranks[0].Groups[0].BytesPerPageId;
        _line.Sent.Clear();
        Receive(new EngineProtocol.ShrinkRequested(_session.Id, pool.Id, 99, [new GpuBytes(TestPool.Device, 2 * bytesPerPage)], TimeSpan.FromSeconds(1)));
        Assert.Equal([warm.First.Value, byPage[1][0].Value / TestPool.BlocksPerPage], _line.Sent.OfType<EngineProtocol.RevokeAnswered>().Single().GivenUp.Select(e => e.First.Value));
        Assert.Equal([new ShrinkAsked(2, 2, TimeSpan.FromSeconds(1))], asked);
        Assert.Equal([byPage[1][0]], evicted);
        Assert.False(pool.IsShrinking);

        _line.Sent.Clear();
        Receive(new EngineProtocol.ShrinkRequested(_session.Id, pool.Id, 100, [new GpuBytes(TestPool.Device, 2 * bytesPerPage)], TimeSpan.FromSeconds(1)));
        Assert.Single(_line.Sent.OfType<EngineProtocol.RevokeAnswered>().Single().GivenUp);
        Assert.Equal(new ShrinkAsked(2, 1, TimeSpan.FromSeconds(1)), asked[1]);
        Assert.True(pool.IsShrinking);
        _session.Upkeep();
        Assert.Single(_line.Sent.OfType<EngineProtocol.RevokeAnswered>());

        Assert.True(pool.Free(0, byPage[2], new EngineStep(8)).IsNone);
        _session.Upkeep();
        var late = _line.Sent.OfType<EngineProtocol.RevokeAnswered>().Last();
        Assert.Equal((100, new EngineStep(8), 1), (late.RevokeId, late.Fence, late.GivenUp.Length));
        Assert.False(pool.IsShrinking);
    }

    [Fact]
    public void Shrink_PastItsDeadlineOrOfAnotherGpu_GivesNothing()
    {
        Connect();
        var pool = AddPool();
        pool.Add([TestPool.Extent(0)]);
        var blocks = new BlockId[1];
        Assert.True(pool.TryAllocate(0, blocks));
        Receive(new EngineProtocol.ShrinkRequested(_session.Id, pool.Id, 7, [new GpuBytes(TestPool.Device, 1)], TimeSpan.FromSeconds(0.5)));
        Receive(new EngineProtocol.ShrinkRequested(_session.Id, pool.Id, 8, [new GpuBytes(GpuId.Parse("HOST-9"), 1)], TimeSpan.FromSeconds(9)));
        Receive(new EngineProtocol.ShrinkRequested(_session.Id, new PoolId(77), 9, [new GpuBytes(TestPool.Device, 1)], TimeSpan.FromSeconds(9)));
        Assert.True(pool.IsShrinking);
        _port.Time.Advance(0.6);
        Assert.False(pool.IsShrinking);
        Assert.True(pool.Free(0, blocks, EngineStep.None).IsNone);
        _session.Upkeep();
        var answers = _line.Sent.OfType<EngineProtocol.RevokeAnswered>().ToArray();
        Assert.Equal([7, 8, 9], answers.Select(a => a.RevokeId));
        Assert.All(answers, answer => Assert.Empty(answer.GivenUp));
        Assert.Single(pool.Extents(0));
    }

    [Fact]
    public void CheckExtents_HeldUnknownAndUndecided_AreToldApart()
    {
        Connect();
        var pool = AddPool();
        pool.Add([TestPool.Extent(0), TestPool.Extent(1, generation: 2)]);
        Submit();
        Receive(new EngineProtocol.RevokeExtents(_session.Id, pool.Id, 1, [TestPool.Extent(1, generation: 2)]));
        var (held, unknown) = Check();
        Assert.Equal([TestPool.Extent(0)], held);
        Assert.Equal([TestPool.Extent(4, generation: 9)], unknown);

        Receive(new EngineProtocol.RequestRefused(_session.Id, new RequestId(2), new Refusal(RefusalReason.Busy, "Later.")));
        Assert.Equal(unknown, Check().Unknown);
        _session.Upkeep();
        Receive(new EngineProtocol.ExtentsFreed(_session.Id, new RequestId(3), pool.Id));
        Receive(new EngineProtocol.RequestRefused(_session.Id, new RequestId(1), new Refusal(RefusalReason.OutOfMemory, "No.")));
        (held, unknown) = Check();
        Assert.Equal([TestPool.Extent(0)], held);
        Assert.Equal([TestPool.Extent(1, generation: 2), TestPool.Extent(3, generation: 7), TestPool.Extent(4, generation: 9)], unknown);

        (Extent[] Held, Extent[] Unknown) Check()
        {
            _line.Sent.Clear();
            Receive(new EngineProtocol.CheckExtents(_session.Id, pool.Id, new Epoch(7, 1),
            [
                new GrantedExtent(TestPool.Extent(0), default), new GrantedExtent(TestPool.Extent(1, generation: 2), default),
                new GrantedExtent(TestPool.Extent(3, generation: 7), new RequestId(1)), new GrantedExtent(TestPool.Extent(4, generation: 9), default),
            ]));
            var answered = Assert.IsType<EngineProtocol.ExtentsChecked>(Assert.Single(_line.Sent));
            Assert.Equal((pool.Id, new Epoch(7, 1)), (answered.Pool, answered.Epoch));
            return ([.. answered.Held], [.. answered.Unknown]);
        }
    }

    [Fact]
    public void CheckExtents_OfAPoolThatIsNeitherHereNorBeingOpened_ClosesItOnce()
    {
        Connect();
        var asked = new EngineProtocol.CheckExtents(_session.Id, TestPool.Id, new Epoch(7, 1), [new GrantedExtent(TestPool.Extent(0), default)]);
        _session.Submit(new PendingRequest((session, request, acked) => new EngineProtocol.OpenPool(session, request, acked, TestPool.Spec())));
        _line.Sent.Clear();
        Receive(asked);
        Assert.Empty(_line.Sent);

        Receive(new EngineProtocol.RequestRefused(_session.Id, new RequestId(1), new Refusal(RefusalReason.DeadlineExceeded, "No.")));
        Receive(asked);
        Receive(asked);
        Assert.Equal(TestPool.Id, Assert.IsType<EngineProtocol.ClosePool>(Assert.Single(_line.Sent)).Pool);
    }

    [Fact]
    public void Revoke_OfAnUnknownPool_IsAnsweredWithNothing()
    {
        Connect();
        Receive(new EngineProtocol.RevokeExtents(_session.Id, TestPool.Id, 1, [TestPool.Extent(0)]));
        Assert.Empty(Assert.IsType<EngineProtocol.RevokeAnswered>(Assert.Single(_line.Sent)).GivenUp);
    }

    [Fact]
    public void Revoke_ReturnRefusedAsBusy_IsAskedAgain()
    {
        Connect();
        var pool = AddPool();
        pool.Add([TestPool.Extent(0)]);
        Receive(new EngineProtocol.RevokeExtents(_session.Id, pool.Id, 1, [TestPool.Extent(0)]));
        Receive(new EngineProtocol.RequestRefused(_session.Id, new RequestId(1), new Refusal(RefusalReason.Busy, "Later.")));
        _session.Upkeep();
        var frees = _line.Sent.OfType<EngineProtocol.FreeExtents>().ToArray();
        Assert.Equal(2, frees.Length);
        Assert.NotEqual(frees[0].Request, frees[1].Request);
    }

    [Fact]
    public void Revoke_ReturnRefusedForOneThatIsGone_AsksForEachAlone()
    {
        Connect();
        var pool = AddPool();
        pool.Add([TestPool.Extent(0), TestPool.Extent(1, generation: 2)]);
        Receive(new EngineProtocol.RevokeExtents(_session.Id, pool.Id, 1, [.. pool.Extents(0)]));
        Receive(new EngineProtocol.RequestRefused(_session.Id, new RequestId(1), new Refusal(RefusalReason.StaleExtent, "One is gone.")));
        _session.Upkeep();
        Assert.Equal([2, 1, 1], _line.Sent.OfType<EngineProtocol.FreeExtents>().Select(f => f.Extents.Length));
    }

    [Fact]
    public void Upkeep_ExtentsIdle_ReportsThemOnceUntilTheyChange()
    {
        Connect();
        var pool = AddPool();
        pool.Add([TestPool.Extent(0)]);
        for (var i = 0; i < 2; i++)
        {
            _time.Advance(0.6);
            Renew();
            _session.Upkeep();
        }

        Assert.Equal(TestPool.Extent(0), Assert.Single(Assert.Single(_line.Sent.OfType<EngineProtocol.ReportWarmExtents>()).Extents).Extent);
    }

    [Fact]
    public void PoolOpened_ThatIsOpenAlready_IsRefused()
    {
        Connect();
        AddPool();
        var request = Submit();
        Receive(new EngineProtocol.PoolOpened(_session.Id, new RequestId(1), TestPool.Id, []));
        Assert.Equal(RefusalReason.NameInUse, Assert.IsType<EngineProtocol.RequestRefused>(request.Answer).Refusal.Reason);
    }

    [Fact]
    public void Received_OfAnotherSession_IsPassedOver()
    {
        Connect();
        var pool = AddPool();
        Receive(new EngineProtocol.PoolWithdrawn(SessionId.New(), pool.Id, new Refusal(RefusalReason.PoolLost, "Gone.")));
        Assert.Null(pool.Withdrawn);
        Receive(new EngineProtocol.PoolWithdrawn(_session.Id, pool.Id, new Refusal(RefusalReason.PoolLost, "Gone.")));
        Assert.Equal(RefusalReason.PoolLost, pool.Withdrawn?.Reason);
    }

    [Fact]
    public void PoolWithdrawn_AsLost_LeavesThePoolTheSessionsUntilItIsClosed()
    {
        Connect();
        var pool = AddPool();
        pool.Add([TestPool.Extent(0)]);
        for (var i = 0; i < 2; i++)
        {
            Receive(new EngineProtocol.PoolWithdrawn(_session.Id, pool.Id, new Refusal(RefusalReason.PoolLost, "Gone.")));
        }

        // To say that it doesn't know it would be to say that no step uses it.
        _line.Sent.Clear();
        Receive(new EngineProtocol.CheckExtents(_session.Id, pool.Id, new Epoch(7, 1), [new GrantedExtent(TestPool.Extent(0), default)]));
        Assert.Equal(TestPool.Extent(0), Assert.Single(Assert.IsType<EngineProtocol.ExtentsChecked>(Assert.Single(_line.Sent)).Held));

        Assert.False(pool.TryAllocate(0, new BlockId[1]));
        Assert.Null(pool.Close(TimeSpan.FromSeconds(1)));
        Assert.Null(pool.Close(TimeSpan.FromSeconds(1)));
        Assert.Equal(pool.Id, Assert.Single(_port.Requests.OfType<EngineProtocol.ClosePool>()).Pool);
        Assert.Contains(pool.Id, _port.Forgotten);
    }

    [Fact]
    public void SessionRefused_WhileRecovering_IsTriedAgain_ElseItIsTheEnd()
    {
        _session.Connected(_line);
        Receive(new EngineProtocol.SessionRefused(_session.Id, new Refusal(RefusalReason.Recovering, "Wait.")));
        Assert.Null(_session.Ended);
        _time.Advance(0.6);
        _session.Upkeep();
        Assert.Equal(2, _line.Sent.OfType<EngineProtocol.OpenSession>().Count());
        Receive(new EngineProtocol.SessionRefused(_session.Id, new Refusal(RefusalReason.UnknownDomain, "Elsewhere.")));
        Assert.Equal(RefusalReason.UnknownDomain, _session.Ended?.Reason);
    }

    [Fact]
    public void PoolTags_NotAskedFor_AreClosedWithTheSession()
    {
        Connect();
        var file = File.OpenHandle("/dev/null");
        _session.Received(new SocketProtocol.PoolTags(_session.Id, TestPool.Id, 1), [file]);
        Assert.False(file.IsClosed);
        var other = File.OpenHandle("/dev/null");
        _session.Received(new SocketProtocol.PoolTags(_session.Id, TestPool.Id, 1), [other]);
        Assert.True(file.IsClosed);
        _session.End(new Refusal(RefusalReason.UnknownSession, "Over."));
        Assert.True(other.IsClosed);
    }

    private void Connect()
    {
        _session.Connected(_line);
        Open();
        _line.Sent.Clear();
    }

    private void Open() => Receive(new EngineProtocol.SessionOpened(_session.Id, new Epoch(1, 1), s_lease));

    private void Renew()
    {
        _session.Upkeep();
        Open();
    }

    private void Receive(object message) => _session.Received(message, []);

    private PendingRequest Submit()
    {
        var request = new PendingRequest(
            (session, id, acked) => new EngineProtocol.AllocatePages(session, id, acked, TestPool.Id, 0, 1, TimeSpan.FromSeconds(1)));
        _session.Submit(request);
        return request;
    }

    private KvPool AddPool()
    {
        _pool = new KvPool(TestPool.Id, TestPool.Spec(), new KvPoolOptions { HasNullBlock = false, IsGrowingAhead = false }, _port);
        _pool.TakeOver([], null);
        _session.Attach(_pool);
        _line.Sent.Clear();
        return _pool;
    }
}
