using Kvcached.Actors.Protocols;
using Kvcached.Actors.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Workers;
using static Kvcached.Actors.Tests.Ranks.RankRig;

namespace Kvcached.Actors.Tests.Workers;

/// <summary>Workers that come, are turned away, come back, and leave; and pools that close under them.</summary>
public sealed class WorkerAttachingTests
{
    public static TheoryData<string, Func<WorkerProtocol.AttachRank, WorkerProtocol.AttachRank>, RefusalReason> Wrong() => new()
    {
        { "unknown pool", r => r with { PoolName = "nowhere" }, RefusalReason.UnknownPool },
        { "null name", r => r with { PoolName = null! }, RefusalReason.UnknownPool },
        { "other rank", r => r with { Rank = 1 }, RefusalReason.WrongDevice },
        { "other device", r => r with { Device = TestPools.Gpu(1) }, RefusalReason.WrongDevice },
        { "other backend", r => r with { Backend = "cuda" }, RefusalReason.NotSupported },
        { "no incarnation", r => r with { Worker = default }, RefusalReason.InvalidMessage },
        { "default list", r => r with { Held = default }, RefusalReason.InvalidMessage },
        { "descriptors missing", r => r with { Held = [new LentExtent(Extent(0, 0, 1), default)] }, RefusalReason.InvalidMessage },
        { "no such group", r => r with { Held = [new LentExtent(Extent(0, 0, 1) with { Group = 9 }, default)] }, RefusalReason.InvalidMessage },
        { "newer epoch", r => r with { HighestEpoch = new Epoch(6, 6) }, RefusalReason.StaleEpoch },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void Worker_that_does_not_fit_should_be_refused_and_nothing_change(
        string why, Func<WorkerProtocol.AttachRank, WorkerProtocol.AttachRank> change, RefusalReason reason)
    {
        using var rig = new WorkerRig();
        var worker = rig.NewWorker();

        worker.Attach(WorkerRig.Name, change: change);
        rig.Hear();

        Assert.True(Assert.IsType<WorkerProtocol.AttachRefused>(Assert.Single(worker.Told)).Refusal.Reason == reason, why);
        Assert.Equal(RankWorker.None, rig.Seat.Standing);
        Assert.Equal(RankWorker.Attached, Standing(rig, rig.NewAttachedWorker()));
    }

    [Fact]
    public void Pool_of_another_user_should_look_like_none()
    {
        using var rig = new WorkerRig(userId: 1000);
        var stranger = rig.NewWorker(userId: 1001);

        stranger.Attach(WorkerRig.Name);
        stranger.Attach("nowhere");
        rig.Hear();

        var refusals = stranger.Told.Cast<WorkerProtocol.AttachRefused>().Select(r => r.Refusal).ToArray();
        Assert.Equal(refusals[1].Detail.Replace("nowhere", WorkerRig.Name, StringComparison.Ordinal), refusals[0].Detail);
        Assert.All(refusals, r => Assert.Equal(RefusalReason.UnknownPool, r.Reason));
        Assert.Equal(RankWorker.Attached, Standing(rig, rig.NewAttachedWorker()));
    }

    [Fact]
    public void Pool_that_hosts_map_should_take_no_worker()
    {
        using var rig = new WorkerRig();
        rig.Work.Open(Open(PoolB));
        var worker = rig.NewWorker();

        worker.Attach(NameOf(PoolB));
        rig.Hear();

        Assert.Equal(RefusalReason.NotSupported, Assert.IsType<WorkerProtocol.AttachRefused>(Assert.Single(worker.Told)).Refusal.Reason);
    }

    [Fact]
    public void Second_worker_should_be_refused_while_the_first_lives_connected_or_not()
    {
        using var rig = new WorkerRig();
        var first = rig.NewAttachedWorker();
        var second = rig.NewWorker();
        second.Attach(WorkerRig.Name);
        first.Disconnect();
        rig.Hear();
        second.Attach(WorkerRig.Name);
        rig.Hear();
        Assert.Equal(
            [RefusalReason.AlreadyAttached, RefusalReason.AlreadyAttached],
            second.Told.Cast<WorkerProtocol.AttachRefused>().Select(r => r.Refusal.Reason));

        first.Die();
        second.Attach(WorkerRig.Name);
        rig.Hear();

        Assert.Contains(second.Told, said => said is WorkerProtocol.RankAttached);
    }

    [Fact]
    public void Worker_should_hear_all_of_its_pool_and_then_get_the_whole_table_before_it_counts()
    {
        using var rig = new WorkerRig();
        Grow(rig, rig.NewAttachedWorker(), Extent(0, 2, 1), Extent(8, 0, 2)).Die();
        rig.Hear();
        Assert.Equal(2, rig.Memory.MappedExtents.Length);
        var next = rig.NewWorker();

        next.Attach(WorkerRig.Name);
        rig.Hear();

        var attached = Assert.IsType<WorkerProtocol.RankAttached>(Assert.Single(next.Told));
        Assert.Equal((PoolA, 0, WorkerRig.Name), (attached.Pool, attached.Rank, attached.Spec.Name));
        var install = Assert.Single(next.Operations);
        Assert.Equal((WorkerOperationKind.Install, 1L, Fifth), (install.Kind, install.Operation, install.Epoch));
        Assert.Equal([false, false], install.IsDescriptorsHeld.AsEnumerable());
        Assert.Equal([2], next.Current!.DescriptorCounts);
        Assert.Equal(RankWorker.Gone, rig.Seat.Standing);
        next.Answer();
        rig.Hear();
        Assert.Equal(RankWorker.Attached, rig.Seat.Standing);
        Assert.Equal([attached, WorkerProtocol.TableComplete.Instance], next.Told.AsEnumerable());
        Assert.Equal(DigestOf(Extent(0, 2, 1), Extent(8, 0, 2)), next.Digest);
    }

    [Fact]
    public void Worker_that_comes_back_should_get_descriptors_only_for_what_it_lacks()
    {
        using var rig = new WorkerRig();
        var worker = Grow(rig, rig.NewAttachedWorker(), Extent(0, 0, 1), Extent(1, 0, 2));
        rig.Send(Map(PoolA, 2, Extent(2, 0, 3)));
        worker.Disconnect();
        rig.Hear();
        rig.TakeAnswer();
        rig.Send(Unmap(PoolA, 3, Extent(0, 0, 1)));
        Assert.Equal([Extent(0, 0, 1), Extent(2, 0, 3)], rig.Quarantined.AsEnumerable());

        worker.Attach(WorkerRig.Name, id: PoolA);
        rig.Hear();
        Assert.Equal([Extent(0, 0, 1), Extent(2, 0, 3)], rig.Quarantined.AsEnumerable());
        worker.Answer();
        rig.Hear();

        Assert.Equal([true], worker.Operations[^1].IsDescriptorsHeld.AsEnumerable());
        Assert.Equal([0], worker.Current!.DescriptorCounts);
        Assert.Equal([Extent(1, 0, 2)], worker.Mapped.Keys);
        Assert.Empty(rig.Quarantined);
        Assert.Equal(RankWorker.Attached, rig.Seat.Standing);
    }

    [Fact]
    public void What_a_worker_is_stuck_on_should_stay_quarantined_when_it_comes_back_without_naming_it()
    {
        using var rig = new WorkerRig();
        var worker = Grow(rig, rig.NewAttachedWorker(), Extent(0, 0, 1), Extent(1, 0, 2));
        worker.Sticks = e => e.First.Value == 0;
        rig.Send(Unmap(PoolA, 2, Extent(0, 0, 1)));
        worker.CarryOutInSilence();
        worker.Disconnect();
        rig.Hear();
        rig.TakeAnswer();

        worker.Attach(WorkerRig.Name, id: PoolA);
        rig.Hear();
        worker.Answer();
        rig.Hear();

        Assert.Equal([Extent(0, 0, 1)], rig.Quarantined.AsEnumerable());
        worker.ReleaseStuck();
        rig.Hear();
        Assert.Empty(rig.Quarantined);
    }

    [Fact]
    public void Worker_that_connects_again_before_its_old_connection_is_known_lost_should_replace_it()
    {
        using var rig = new WorkerRig();
        var worker = Grow(rig, rig.NewAttachedWorker(), Extent(0, 0, 1));
        var old = worker.Current!;
        rig.Send(Unmap(PoolA, 2, Extent(0, 0, 1)));

        worker.Attach(WorkerRig.Name, id: PoolA);
        rig.Hear();
        worker.AnswerAll();
        rig.Hear();

        Assert.True(old.IsClosed);
        Assert.Equal([Extent(0, 0, 1)], rig.TakeAnswer().Quarantined.AsEnumerable());
        Assert.Equal(RankWorker.Attached, rig.Seat.Standing);
        Assert.Empty(rig.Quarantined);
        Assert.Empty(worker.Mapped);
    }

    [Fact]
    public void Worker_whose_memory_is_of_another_life_of_the_host_should_be_refused()
    {
        using var rig = new WorkerRig();
        var worker = Grow(rig, rig.NewAttachedWorker(), Extent(0, 0, 1));
        using var restarted = new WorkerRig();
        var (seen, wire) = (new List<WorkerProtocol.IMessage>(), new OtherWire());
        wire.Said = seen.Add;

        restarted.Rank.State.Workers.Attaching(
            wire,
            new WorkerProtocol.AttachRank(worker.Incarnation, WorkerRig.Name, 0, TestPools.Gpu(0), "host", PoolA, default, 0, [.. worker.Mapped.Select(m => new LentExtent(m.Key, m.Value))]),
            [new Microsoft.Win32.SafeHandles.SafeFileHandle()]);
        restarted.Hear();

        Assert.Equal(RefusalReason.PoolLost, Assert.IsType<WorkerProtocol.AttachRefused>(Assert.Single(seen)).Refusal.Reason);
    }

    [Fact]
    public void Worker_that_shows_another_table_than_it_was_given_should_attach_anew()
    {
        using var rig = new WorkerRig();
        var worker = rig.NewWorker();
        worker.Attach(WorkerRig.Name);
        rig.Hear();

        worker.Answer(done => done with { Digest = DigestOf(Extent(3, 0, 3)) });
        rig.Hear();

        Assert.True(worker.Current!.IsClosed);
        Assert.Equal(RankWorker.Gone, rig.Seat.Standing);
    }

    [Fact]
    public void Long_table_should_come_in_parts_that_fit()
    {
        using var rig = new WorkerRig(maxDescriptors: 8);
        var extents = Enumerable.Range(0, 30).Select(i => Extent(i, 0, (uint)i + 1)).ToArray();
        Grow(rig, rig.NewAttachedWorker(), extents).Die();
        rig.Hear();
        var next = rig.NewWorker();
        next.Attach(WorkerRig.Name);
        rig.Hear();

        for (var part = 1; part <= 4; part++)
        {
            Assert.Equal(RankWorker.Gone, rig.Seat.Standing);
            Assert.Equal(1, next.UnansweredCount);
            next.Answer();
            rig.Hear();
        }

        Assert.Equal([8, 8, 8, 6], next.Current!.DescriptorCounts);
        Assert.Equal([WorkerOperationKind.Install, WorkerOperationKind.Map], next.Operations.Select(o => o.Kind).Distinct());
        Assert.Equal(RankWorker.Attached, rig.Seat.Standing);
        Assert.Equal(DigestOf(extents), next.Digest);
    }

    [Fact]
    public void Pool_should_close_at_once_when_no_worker_holds_anything()
    {
        using var rig = new WorkerRig();
        var worker = rig.NewAttachedWorker();

        Assert.False(rig.Close()!.IsOpen);

        Assert.IsType<WorkerProtocol.PoolGone>(worker.Told[^1]);
        Assert.Empty(rig.Rank.State.Pools);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Pool_should_close_only_when_its_worker_has_left_or_died(bool inGoodOrder)
    {
        using var rig = new WorkerRig();
        var worker = Grow(rig, rig.NewAttachedWorker(), Extent(0, 0, 1));

        Assert.Null(rig.Close(new EngineStep(7)));
        Assert.Equal(new EngineStep(7), Assert.IsType<WorkerProtocol.PoolGone>(worker.Told[^1]).Fence);
        Assert.Equal([Extent(0, 0, 1)], rig.Quarantined.AsEnumerable());
        rig.Expire();
        var open = Assert.IsType<RankProtocol.RankPoolAnswer>(Assert.Single(rig.Replies));
        Assert.True(open.IsOpen);
        Assert.Equal(RefusalReason.DeadlineExceeded, open.Refusal!.Reason);

        rig.Replies.Clear();
        Assert.Null(rig.Close());
        if (inGoodOrder)
        {
            worker.Detach();
        }
        else
        {
            worker.Die();
        }

        rig.Hear();
        Assert.False(Assert.IsType<RankProtocol.RankPoolAnswer>(Assert.Single(rig.Replies)).IsOpen);
        Assert.Equal(0, rig.Rank.Pages.Snapshot().HeldBytes);
    }

    [Fact]
    public void Worker_that_comes_back_to_a_closing_pool_should_be_told_to_leave()
    {
        using var rig = new WorkerRig();
        var worker = Grow(rig, rig.NewAttachedWorker(), Extent(0, 0, 1));
        worker.Disconnect();
        rig.Hear();
        Assert.Null(rig.Close(new EngineStep(41)));

        worker.Attach(WorkerRig.Name, id: PoolA);
        rig.Hear();

        Assert.Equal(new EngineStep(41), Assert.IsType<WorkerProtocol.PoolGone>(worker.Told[^1]).Fence);
        worker.Detach();
        rig.Hear();
        Assert.False(Assert.IsType<RankProtocol.RankPoolAnswer>(Assert.Single(rig.Replies)).IsOpen);
    }

    [Fact]
    public void Event_that_fails_again_and_again_should_end_its_connection_and_let_the_others_through()
    {
        var registry = new WorkerRegistry();
        var wire = new OtherWire();
        registry.Received(wire, WorkerProtocol.Detach.Instance);
        registry.Died(wire);

        for (var i = 0; i < WorkerRegistry.MaxTries; i++)
        {
            Assert.True(registry.TryBegin(out var failing));
            Assert.IsType<WorkerEvent.Received>(failing);
        }

        Assert.True(registry.TryBegin(out var next));
        Assert.IsType<WorkerEvent.Died>(next);
        Assert.True(wire.IsClosed);
    }

    private static FakeWorker Grow(WorkerRig rig, FakeWorker worker, params Core.Paging.Extent[] extents)
    {
        rig.Send(Map(PoolA, 1, [.. extents]));
        worker.Answer();
        rig.Hear();
        Assert.Equal(DecisionOutcome.Applied, rig.TakeAnswer().Outcome);
        return worker;
    }

    private static RankWorker Standing(WorkerRig rig, FakeWorker worker) => worker.Told.OfType<WorkerProtocol.RankAttached>().Any() ? rig.Seat.Standing : RankWorker.None;

    private sealed class OtherWire : IWorkerConnection
    {
        public Action<WorkerProtocol.IMessage> Said { get; set; } = _ => { };

        public bool IsClosed { get; private set; }

        public long ConnectionId => 9000;

        public uint UserId => 1000;

        public int ProcessId => 0;

        public bool TrySend(WorkerProtocol.IMessage message, System.Collections.Immutable.ImmutableArray<Microsoft.Win32.SafeHandles.SafeFileHandle> descriptors)
        {
            Said(message);
            return true;
        }

        public void Close() => IsClosed = true;
    }
}
