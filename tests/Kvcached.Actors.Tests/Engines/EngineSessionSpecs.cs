using System.Collections.Immutable;
using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Engines;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Engines;

/// <summary>The engine's side against a host that says what the spec wants, on clocks that go on only when told to.</summary>
public sealed class EngineSessionSpecs : TestKit
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(15);
    private static readonly PoolId Pool = PoolId.Create(1, 1);
    private static readonly Epoch Epoch = new(1, 1);

    private readonly ManualTime _time = new();
    private readonly TaskCompletionSource<Refusal?> _opened = new();
    private readonly TestProbe _gateway;
    private readonly IActorRef _session;
    private readonly SessionId _id;

    public EngineSessionSpecs()
        : base("""akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit" """)
    {
        _gateway = CreateTestProbe("gateway");
        _session = Sys.ActorOf(EngineSession.Props(
            new EngineClientOptions { EngineName = "e", Domain = "d", Hosts = ["127.0.0.1:1"], ResendAfter = TimeSpan.FromSeconds(2) }, _opened, _time));
        _session.Tell(new ActorIdentity("127.0.0.1:1", _gateway));
        _id = _gateway.ExpectMsg<EngineProtocol.OpenSession>().Session;
        _session.Tell(new EngineProtocol.SessionOpened(_id, Epoch, Lease), _gateway);
    }

    [Fact]
    public async Task Session_should_be_open_when_the_host_says_so() =>
        Assert.Null(await _opened.Task.WaitAsync(TimeSpan.FromSeconds(10)));

    [Fact]
    public void Session_should_send_a_request_again_under_its_id_until_it_is_answered()
    {
        var answer = Submit(Grow(4));
        var first = _gateway.ExpectMsg<EngineProtocol.AllocatePages>();
        Pass(2.1);
        var second = _gateway.ExpectMsg<EngineProtocol.AllocatePages>();
        Assert.Equal(first, second);

        _session.Tell(new EngineProtocol.PagesAllocated(_id, first.Request, Pool, [Extent(0, 1)]), _gateway);
        AwaitCondition(() => answer.Task.IsCompleted);
        Pass(2.1);
        Submit(Grow(1));
        var next = _gateway.ExpectMsg<EngineProtocol.AllocatePages>();
        Assert.Equal(new RequestId(first.Request.Value + 1), next.Request);
        Assert.Equal(first.Request, next.AckedThrough);
    }

    [Fact]
    public void Watermark_should_stay_below_the_oldest_request_without_an_answer()
    {
        Submit(Grow(1));
        Submit(Grow(2));
        var first = _gateway.ExpectMsg<EngineProtocol.AllocatePages>();
        var second = _gateway.ExpectMsg<EngineProtocol.AllocatePages>();
        _session.Tell(new EngineProtocol.PagesAllocated(_id, second.Request, Pool, [Extent(0, 1)]), _gateway);

        Submit(Grow(3));

        Assert.Equal(new RequestId(first.Request.Value - 1), _gateway.ExpectMsg<EngineProtocol.AllocatePages>().AckedThrough);
    }

    [Fact]
    public void Lease_should_be_renewed_at_every_third_of_it()
    {
        for (var renewal = 0; renewal < 4; renewal++)
        {
            Pass(5.2);
            Assert.Equal(_id, _gateway.ExpectMsg<EngineProtocol.OpenSession>().Session);
            _session.Tell(new EngineProtocol.SessionOpened(_id, Epoch, Lease), _gateway);
        }

        Barrier();
        Assert.Null(Attach(Extent(0, 1)).Withdrawn);
    }

    [Fact]
    public async Task Lease_that_is_not_confirmed_should_end_the_session_before_the_coordinator_does()
    {
        var pool = Attach(Extent(0, 1));
        var answer = Submit(Grow(1));
        _gateway.ExpectMsg<EngineProtocol.AllocatePages>();
        for (var seconds = 0.0; seconds < 13.6; seconds += 0.4)
        {
            Pass(0.4);
        }

        Assert.Equal(RefusalReason.UnknownSession, pool.Withdrawn!.Reason);
        Assert.False(pool.TryAllocateBlocks(0, new BlockId[1]));
        Assert.Equal(RefusalReason.UnknownSession, (await RefusalOf(answer)).Reason);
        Assert.Equal(RefusalReason.UnknownSession, (await RefusalOf(Submit(Grow(1)))).Reason);
    }

    [Fact]
    public void Revoked_extents_should_be_given_up_unless_a_block_of_them_is_used()
    {
        var used = Extent(0, 1);
        var warm = Extent(1, 2);
        var pool = Attach(used, warm);
        var blocks = new BlockId[2];
        Assert.True(pool.TryAllocateBlocks(0, blocks));
        var usedPage = blocks[0].Value * TestPools.BlockBytes / TestPools.PageBytes;
        var (inUse, free) = usedPage == 0 ? (used, warm) : (warm, used);

        _session.Tell(new EngineProtocol.RevokeExtents(_id, Pool, 77, [used, warm, Extent(9, 9)]), _gateway);

        Assert.Equal([free], _gateway.ExpectMsg<EngineProtocol.FreeExtents>().Extents.AsEnumerable());
        var answered = _gateway.ExpectMsg<EngineProtocol.RevokeAnswered>();
        Assert.Equal(77, answered.RevokeId);
        Assert.Equal([free], answered.GivenUp.AsEnumerable());
        Assert.Equal(1, pool.GetStats().MappedPages);
        Assert.Null(pool.FreeBlocks(0, blocks));
        _session.Tell(new EngineProtocol.RevokeExtents(_id, Pool, 78, [inUse, free]), _gateway);
        Assert.Equal([inUse], _gateway.ExpectMsg<EngineProtocol.FreeExtents>().Extents.AsEnumerable());
        Assert.Equal([inUse], _gateway.ExpectMsg<EngineProtocol.RevokeAnswered>().GivenUp.AsEnumerable());
        Assert.False(pool.TryAllocateBlocks(0, blocks));
    }

    [Fact]
    public void Shrink_should_be_answered_with_warm_extents_that_suffice()
    {
        var pool = Attach(Extent(0, 1), Extent(1, 2), Extent(2, 3));
        var gpu = pool.Spec.Geometry.Ranks[0].Gpu;
        _session.Tell(new EngineProtocol.ShrinkRequested(_id, Pool, 90, [new GpuBytes(gpu, pool.Spec.Geometry.Ranks[0].Groups[0].BytesPerPageId + 1)], TimeSpan.FromSeconds(1)), _gateway);

        Assert.Equal(2, _gateway.ExpectMsg<EngineProtocol.FreeExtents>().Extents.Length);
        var answered = _gateway.ExpectMsg<EngineProtocol.RevokeAnswered>();
        Assert.Equal((90, 2), (answered.RevokeId, answered.GivenUp.Length));
        _session.Tell(new EngineProtocol.ShrinkRequested(_id, Pool, 91, [new GpuBytes(GpuId.Parse("GPU-none"), 1)], TimeSpan.FromSeconds(1)), _gateway);
        Assert.Empty(_gateway.ExpectMsg<EngineProtocol.RevokeAnswered>().GivenUp);
    }

    [Fact]
    public void Revoke_for_an_unknown_pool_should_be_answered_with_nothing()
    {
        _session.Tell(new EngineProtocol.RevokeExtents(_id, new PoolId(99), 5, [Extent(0, 1)]), _gateway);

        Assert.Empty(_gateway.ExpectMsg<EngineProtocol.RevokeAnswered>().GivenUp);
    }

    [Fact]
    public void Extents_asked_about_should_be_told_held_or_unknown_unless_an_answer_may_still_decide()
    {
        Attach(Extent(0, 1), Extent(1, 2));
        Submit(Grow(1));
        var waiting = _gateway.ExpectMsg<EngineProtocol.AllocatePages>().Request;
        _session.Tell(new EngineProtocol.RevokeExtents(_id, Pool, 5, [Extent(1, 2)]), _gateway);
        var returning = _gateway.ExpectMsg<EngineProtocol.FreeExtents>().Request;
        _gateway.ExpectMsg<EngineProtocol.RevokeAnswered>();

        var answered = Check();
        Assert.Equal([Extent(0, 1)], answered.Held.AsEnumerable());
        Assert.Equal([Extent(4, 9)], answered.Unknown.AsEnumerable());

        _session.Tell(new EngineProtocol.ExtentsFreed(_id, returning, Pool), _gateway);
        _session.Tell(new EngineProtocol.RequestRefused(_id, waiting, new Refusal(RefusalReason.OutOfMemory, "No.")), _gateway);
        answered = Check();
        Assert.Equal([Extent(0, 1)], answered.Held.AsEnumerable());
        Assert.Equal([Extent(1, 2), Extent(3, 7), Extent(4, 9)], answered.Unknown.AsEnumerable());

        EngineProtocol.ExtentsChecked Check()
        {
            _session.Tell(new EngineProtocol.CheckExtents(_id, Pool, Epoch,
            [
                new GrantedExtent(Extent(0, 1), default), new GrantedExtent(Extent(1, 2), default),
                new GrantedExtent(Extent(3, 7), waiting), new GrantedExtent(Extent(4, 9), default),
            ]), _gateway);
            return _gateway.ExpectMsg<EngineProtocol.ExtentsChecked>(m => m.Epoch == Epoch && m.Pool == Pool);
        }
    }

    [Fact]
    public void Pool_asked_about_should_be_closed_when_it_is_neither_here_nor_being_opened()
    {
        var asked = new EngineProtocol.CheckExtents(_id, new PoolId(99), Epoch, []);
        Submit((session, request, acked) => new EngineProtocol.OpenPool(session, request, acked, TestPools.Spec("a", TestPools.Gpus(1))));
        var opening = _gateway.ExpectMsg<EngineProtocol.OpenPool>().Request;
        _session.Tell(asked, _gateway);
        _session.Tell(new EngineProtocol.PoolOpened(_id, opening, new PoolId(99), []), _gateway);
        _session.Tell(asked, _gateway);
        Barrier();

        _session.Tell(new EngineProtocol.PoolWithdrawn(_id, new PoolId(99), new Refusal(RefusalReason.PoolLost, "Gone.")), _gateway);
        _session.Tell(asked, _gateway);
        _session.Tell(asked, _gateway);
        Assert.Equal(new PoolId(99), _gateway.ExpectMsg<EngineProtocol.ClosePool>().Pool);
        Barrier();
    }

    [Fact]
    public async Task Return_that_nobody_waits_for_should_be_kept_when_refused_as_busy_and_split_when_one_extent_is_gone()
    {
        var pool = Attach(Extent(0, 1), Extent(1, 2));
        var trim = pool.TrimAsync(0, 0, TimeSpan.Zero, CancellationToken.None);
        var first = _gateway.ExpectMsg<EngineProtocol.FreeExtents>();
        Assert.False(pool.TryAllocateBlocks(0, new BlockId[1]));
        _session.Tell(new EngineProtocol.RequestRefused(_id, first.Request, new Refusal(RefusalReason.Busy, "Later.")), _gateway);
        Assert.Equal(RefusalReason.Busy, (await trim).Refusal!.Reason);
        Assert.Equal(2, pool.GetStats().MappedPages);

        trim = pool.TrimAsync(0, 0, TimeSpan.Zero, CancellationToken.None);
        var second = _gateway.ExpectMsg<EngineProtocol.FreeExtents>();
        _session.Tell(new EngineProtocol.RequestRefused(_id, second.Request, new Refusal(RefusalReason.StaleExtent, "One is gone.")), _gateway);
        Assert.Equal(RefusalReason.StaleExtent, (await trim).Refusal!.Reason);
        Pass(0.1);
        Assert.Equal(
            [Extent(0, 1), Extent(1, 2)],
            [.. new[] { Assert.Single(_gateway.ExpectMsg<EngineProtocol.FreeExtents>().Extents), Assert.Single(_gateway.ExpectMsg<EngineProtocol.FreeExtents>().Extents) }.OrderBy(e => e.Generation)]);
    }

    [Fact]
    public void Return_of_revoked_extents_should_be_tried_again_when_the_coordinator_is_busy()
    {
        Attach(Extent(0, 1));
        _session.Tell(new EngineProtocol.RevokeExtents(_id, Pool, 5, [Extent(0, 1)]), _gateway);
        var refused = _gateway.ExpectMsg<EngineProtocol.FreeExtents>();
        _gateway.ExpectMsg<EngineProtocol.RevokeAnswered>();

        _session.Tell(new EngineProtocol.RequestRefused(_id, refused.Request, new Refusal(RefusalReason.Busy, "Later.")), _gateway);
        Pass(0.1);

        var again = _gateway.ExpectMsg<EngineProtocol.FreeExtents>();
        Assert.NotEqual(refused.Request, again.Request);
        Assert.Equal([Extent(0, 1)], again.Extents.AsEnumerable());
    }

    [Fact]
    public void Grant_that_comes_when_nobody_waits_any_more_should_become_warm_pages()
    {
        var pool = Attach();
        Submit(Grow(2));
        var request = _gateway.ExpectMsg<EngineProtocol.AllocatePages>();
        Assert.False(pool.TryAllocateBlocks(0, new BlockId[1]));

        _session.Tell(new EngineProtocol.PagesAllocated(_id, request.Request, Pool, [Extent(0, 1), Extent(1, 2)]), _gateway);
        Barrier();

        Assert.Equal(2, pool.GetStats().WarmPages);
        Assert.True(pool.TryAllocateBlocks(0, new BlockId[8]));
    }

    [Fact]
    public void Answer_that_comes_twice_should_add_its_pages_once_and_give_back_what_was_granted_over()
    {
        var pool = Attach();
        Submit(Grow(1));
        var request = _gateway.ExpectMsg<EngineProtocol.AllocatePages>();
        var answer = new EngineProtocol.PagesAllocated(_id, request.Request, Pool, [Extent(0, 1)]);

        _session.Tell(answer, _gateway);
        _session.Tell(answer, _gateway);
        _session.Tell(answer with { Extents = [Extent(4, 8)] }, _gateway);

        Assert.Equal([Extent(4, 8)], _gateway.ExpectMsg<EngineProtocol.FreeExtents>().Extents.AsEnumerable());
        Assert.Equal(1, pool.GetStats().MappedPages);
    }

    [Fact]
    public void Pool_opened_for_a_request_that_was_answered_before_should_be_closed_again()
    {
        Submit((session, request, acked) => new EngineProtocol.OpenPool(session, request, acked, TestPools.Spec("a", TestPools.Gpus(1))));
        var request = _gateway.ExpectMsg<EngineProtocol.OpenPool>();
        _session.Tell(new EngineProtocol.PoolOpened(_id, request.Request, Pool, []), _gateway);

        _session.Tell(new EngineProtocol.PoolOpened(_id, request.Request, Pool, []), _gateway);
        _session.Tell(new EngineProtocol.PoolOpened(_id, request.Request, new PoolId(55), []), _gateway);

        Assert.Equal(new PoolId(55), _gateway.ExpectMsg<EngineProtocol.ClosePool>().Pool);
    }

    [Fact]
    public async Task Pool_that_is_open_in_the_session_should_not_be_opened_a_second_time()
    {
        Attach(Extent(0, 1));
        var answer = Submit((session, request, acked) => new EngineProtocol.OpenPool(session, request, acked, TestPools.Spec("a", TestPools.Gpus(1))));
        var request = _gateway.ExpectMsg<EngineProtocol.OpenPool>();

        _session.Tell(new EngineProtocol.PoolOpened(_id, request.Request, Pool, [Extent(0, 1)]), _gateway);

        Assert.Equal(RefusalReason.NameInUse, (await RefusalOf(answer)).Reason);
    }

    [Fact]
    public void Session_that_is_refused_after_it_was_open_should_end_with_its_pools()
    {
        var pool = Attach(Extent(0, 1));
        var answer = Submit(Grow(1));

        _session.Tell(new EngineProtocol.SessionRefused(_id, new Refusal(RefusalReason.UnknownSession, "Slept through its lease.")), _gateway);

        AwaitCondition(() => pool.Withdrawn is not null && answer.Task.IsCompleted);
        Assert.Equal(RefusalReason.UnknownSession, pool.Withdrawn!.Reason);
    }

    [Fact]
    public void Withdrawn_pool_should_hand_out_nothing_and_leave_the_others_alone()
    {
        var pool = Attach(Extent(0, 1));
        var other = Attach(new PoolId(2), Extent(0, 1));

        _session.Tell(new EngineProtocol.PoolWithdrawn(_id, Pool, new Refusal(RefusalReason.PoolLost, "Gone.")), _gateway);
        Barrier();

        Assert.Equal(RefusalReason.PoolLost, pool.Withdrawn!.Reason);
        Assert.False(pool.TryAllocateBlocks(0, new BlockId[1]));
        Assert.True(other.TryAllocateBlocks(0, new BlockId[1]));
    }

    [Fact]
    public void Pool_that_the_coordinator_does_not_know_should_be_withdrawn()
    {
        var pool = Attach(Extent(0, 1));
        Submit(Grow(1));
        var request = _gateway.ExpectMsg<EngineProtocol.AllocatePages>();

        _session.Tell(new EngineProtocol.RequestRefused(_id, request.Request, new Refusal(RefusalReason.UnknownPool, "No.")), _gateway);
        Barrier();

        Assert.Equal(RefusalReason.UnknownPool, pool.Withdrawn!.Reason);
    }

    [Fact]
    public async Task Session_that_the_coordinator_does_not_know_should_withdraw_all_its_pools()
    {
        var pool = Attach(Extent(0, 1));
        var waits = Submit(Grow(1));
        Submit(Grow(1));
        var request = _gateway.ExpectMsg<EngineProtocol.AllocatePages>();
        _gateway.ExpectMsg<EngineProtocol.AllocatePages>();

        _session.Tell(new EngineProtocol.RequestRefused(_id, new RequestId(request.Request.Value + 1), new Refusal(RefusalReason.UnknownSession, "Lost.")), _gateway);

        Assert.Equal(RefusalReason.UnknownSession, (await RefusalOf(waits)).Reason);
        Assert.Equal(RefusalReason.UnknownSession, pool.Withdrawn!.Reason);
    }

    [Fact]
    public void Warm_extents_should_be_reported_when_they_changed()
    {
        var pool = Attach(Extent(0, 1), Extent(1, 2));
        Pass(0.6);
        Assert.Equal(2, _gateway.ExpectMsg<EngineProtocol.ReportWarmExtents>().Extents.Length);
        Pass(0.6);
        var blocks = new BlockId[1];
        Assert.True(pool.TryAllocateBlocks(0, blocks));
        Pass(0.6);

        Assert.Single(_gateway.ExpectMsg<EngineProtocol.ReportWarmExtents>().Extents);
    }

    [Fact]
    public void Session_should_look_for_another_host_when_its_own_is_gone_and_send_again_what_waits()
    {
        Submit(Grow(1));
        var first = _gateway.ExpectMsg<EngineProtocol.AllocatePages>();
        Watch(_gateway);
        Sys.Stop(_gateway);
        ExpectTerminated(_gateway);
        Barrier();
        var next = CreateTestProbe("next");

        _session.Tell(new ActorIdentity("127.0.0.1:1", next));
        Assert.Equal(_id, next.ExpectMsg<EngineProtocol.OpenSession>().Session);
        Pass(2.1);

        Assert.Equal(first.Request, next.FishForMessage<EngineProtocol.AllocatePages>(_ => true).Request);
    }

    [Fact]
    public void Closed_session_should_say_so_and_end()
    {
        var pool = Attach(Extent(0, 1));
        var closed = new TaskCompletionSource();
        _session.Tell(new EngineSession.Close(closed));
        _gateway.ExpectMsg<EngineProtocol.CloseSession>();

        _session.Tell(new EngineProtocol.SessionClosed(_id), _gateway);

        AwaitCondition(() => closed.Task.IsCompleted);
        Assert.NotNull(pool.Withdrawn);
    }

    private static Extent Extent(int page, uint generation) => new(0, new PageId(page), 0, generation);

    private static EngineSessionHandle.MakeRequest Grow(int pages) =>
        (session, request, acked) => new EngineProtocol.AllocatePages(session, request, acked, Pool, 0, pages, TimeSpan.FromMinutes(1));

    private static async Task<Refusal> RefusalOf(TaskCompletionSource<EngineProtocol.IReply> answer) =>
        Assert.IsType<EngineProtocol.RequestRefused>(await answer.Task.WaitAsync(TimeSpan.FromSeconds(10))).Refusal;

    private TaskCompletionSource<EngineProtocol.IReply> Submit(EngineSessionHandle.MakeRequest make)
    {
        var answer = new TaskCompletionSource<EngineProtocol.IReply>(TaskCreationOptions.RunContinuationsAsynchronously);
        _session.Tell(new EngineSession.Submit(make, answer));
        return answer;
    }

    private EnginePool Attach(params ImmutableArray<Extent> extents) => Attach(Pool, extents);

    private EnginePool Attach(PoolId id, params ImmutableArray<Extent> extents)
    {
        var pool = new EnginePool(id, TestPools.Spec("a", TestPools.Gpus(1), 64), extents, new EngineSessionHandle(Sys, _session), _time);
        _session.Tell(new EngineSession.AttachPool(pool));
        return pool;
    }

    /// <summary>Lets time pass on both clocks, and everything that follows from it happen.</summary>
    private void Pass(double seconds)
    {
        Barrier();
        _time.Advance(TimeSpan.FromSeconds(seconds));
        ((TestScheduler)Sys.Scheduler).Advance(TimeSpan.FromMilliseconds(100));
        Barrier();
    }

    /// <summary>Returns when the session has handled all that it got.</summary>
    private void Barrier()
    {
        var asker = CreateTestProbe();
        _session.Tell(new Identify(1), asker);
        asker.ExpectMsg<ActorIdentity>();
    }
}
