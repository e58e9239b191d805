using System.Collections.Concurrent;
using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Sharing;
using Kvcached.Gpu.Devices;
using static Kvcached.Actors.Tests.Ranks.RankRig;

namespace Kvcached.Actors.Tests.Ranks;

/// <summary>A rank looks at its device, says what it sees, and gives back what it only keeps.</summary>
public sealed class DeviceWatchSpecs : TestKit
{
    private const long TotalBytes = CapacityPages * TestPools.PageBytes;
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly RankRig _rig = new();
    private readonly Meter _meter = new();
    private readonly TestProbe _coordinator;

    public DeviceWatchSpecs()
        : base("""akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit" """)
    {
        _coordinator = CreateTestProbe("coordinator");
        Sys.ActorOf(RankSupervisor.Props(new RankSupervisorSettings
        {
            State = _rig.State,
            Holdings = _rig.Holdings,
            Coordinator = _coordinator,
            DataChecker = ActorRefs.Nobody,
            Domain = "test",
            DeviceName = "main memory",
            MapperDispatcher = "akka.actor.default-dispatcher",
            RegisterInterval = TimeSpan.FromHours(1),
            HousekeepingInterval = Interval,
            WorkerDeadline = TimeSpan.FromMilliseconds(500),
            DeviceWatch = new DeviceWatchSettings(_meter, HeadroomBytes: 4 * TestPools.PageBytes, TimeSpan.Zero, TimeProvider.System),
        }));
    }

    private TestScheduler Clock => (TestScheduler)Sys.Scheduler;

    [Fact]
    public void Strangers_should_be_told_to_the_coordinator_as_soon_as_they_are_seen()
    {
        _meter.Say(foreignPages: 10);
        Assert.Equal(Share(10), HearOf(Share(10)).Device);

        _meter.Say(foreignPages: 20);
        LookUntil(() => _rig.State.Device == Share(20));
        Assert.Equal(Share(20), HearOf(Share(20)).Device);
        Assert.Equal(Share(20), _rig.State.Device);
    }

    [Fact]
    public void Kept_memory_should_be_given_back_to_strangers_and_what_is_mapped_stay()
    {
        _meter.Say(foreignPages: 0);
        var mapper = HearOf(Share(0)).Mapper;
        mapper.Tell(Open(PoolA), _coordinator);
        mapper.Tell(Map(PoolA, 1, Extent(0, 3, 1), Extent(8, 3, 2)), _coordinator);
        mapper.Tell(Unmap(PoolA, 2, Extent(0, 3, 1)), _coordinator);
        _coordinator.FishForMessage(message => message is RankProtocol.Decided { Answer.Seq: 2 });
        Assert.Equal(8 * TestPools.PageBytes, _rig.Pages.Snapshot().Pools.Sum(pool => pool.KeptBytes));

        _meter.Say(foreignPages: 50, ownPages: 16);
        LookUntil(() => _rig.State.Device == Share(50));

        AwaitAssert(() => Assert.Equal(
            (8 * TestPools.PageBytes, 0),
            (_rig.Pages.Snapshot().Pools.Sum(pool => pool.MappedBytes), _rig.Pages.Snapshot().Pools.Sum(pool => pool.KeptBytes))), TimeSpan.FromSeconds(30));
    }

    [Fact]
    public void Device_that_cannot_be_read_should_be_warned_of_once_and_the_last_answer_hold()
    {
        _meter.Say(foreignPages: 10);
        HearOf(Share(10));
        Assert.True(_meter.WasAnswered());
        EventFilter.Warning(contains: "the driver has gone").ExpectOne(() =>
        {
            for (var look = 0; look < 3; look++)
            {
                _meter.Fail("the driver has gone");
                LookUntil(_meter.WasAnswered);
            }
        });
        Assert.Equal(Share(10), _rig.State.Device);

        _meter.Say(foreignPages: 30);
        LookUntil(() => _rig.State.Device == Share(30));
    }

    [Fact]
    public void Driver_that_hangs_should_be_asked_no_second_time_and_hold_up_nobody()
    {
        // The first question has no answer until the meter has one.
        Clock.Advance(Interval);
        Clock.Advance(Interval);
        var mapper = _coordinator.ExpectMsg<RankProtocol.RegisterRank>().Mapper;
        mapper.Tell(new RankProtocol.ReportRank(Fifth), _coordinator);
        _coordinator.ExpectMsg<RankProtocol.RankReported>();

        _meter.Say(foreignPages: 10);
        HearOf(Share(10));
        Assert.Equal(1, _meter.Questions);
    }

    protected override void AfterAll()
    {
        _meter.Fail("over");
        base.AfterAll();
        _rig.Dispose();
    }

    private static DeviceShare Share(int foreignPages) => new(TotalBytes, foreignPages * TestPools.PageBytes, 4 * TestPools.PageBytes);

    private RankProtocol.RegisterRank HearOf(DeviceShare share) =>
        (RankProtocol.RegisterRank)_coordinator.FishForMessage(message => message is RankProtocol.RegisterRank { Device: { } told } && told == share, TimeSpan.FromSeconds(30));

    /// <summary>Time goes on until it is so: a look is left out while the last one is being taken in.</summary>
    private void LookUntil(Func<bool> isSo) => AwaitCondition(
        () =>
        {
            Clock.Advance(Interval);
            return isSo();
        },
        TimeSpan.FromSeconds(30), TimeSpan.FromMilliseconds(20));

    /// <summary>Answers each question with what the test says next, and has none until then.</summary>
    private sealed class Meter : IDeviceMeter
    {
        private readonly BlockingCollection<(DeviceUse? Use, string Problem)> _answers = [];
        private readonly SemaphoreSlim _answered = new(0);
        private int _questions;

        public int Questions => Volatile.Read(ref _questions);

        public void Say(int foreignPages, int ownPages = 0) => _answers.Add((new DeviceUse(TotalBytes, (foreignPages + ownPages) * TestPools.PageBytes), string.Empty));

        public void Fail(string problem) => _answers.Add((null, problem));

        /// <summary>True once for each answer that was fetched.</summary>
        public bool WasAnswered() => _answered.Wait(0);

        public bool TryRead(out DeviceUse use, out string problem)
        {
            Interlocked.Increment(ref _questions);
            (var said, problem) = _answers.Take();
            use = said ?? default;
            _answered.Release();
            return said is not null;
        }
    }
}
