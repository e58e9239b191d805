using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sockets;
using Kvcached.Core.Workers;
using Kvcached.Host.Tests.Support;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Tests.Gateway;

/// <summary>What the gateway makes of workers' connections.</summary>
[Collection(DescriptorCounting.Name)]
public sealed class WorkerConnectionTests
{
    private static readonly WorkerProtocol.OperationDone Done = new(1, null, LayoutDigest.Empty, [], 1);

    [Fact]
    public async Task Worker_FromAttachingToItsDeath_IsToldToTheRankInOrder()
    {
        using var rig = new GatewayRig(hasStranger: true);
        var before = GatewayRig.OpenDescriptors();
        using (var worker = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Worker))
        {
            var attach = Attach();
            SafeFileHandle[] held = [.. Enumerable.Range(0, 600).Select(_ => Opened())];
            worker.Say(attach, [.. held]);
            Close(held);

            var told = rig.NextOfWorkers();
            Assert.Equal(("attaching", 600), (told.What, told.Descriptors.Length));
            Assert.Equal(attach.Worker, Assert.IsType<WorkerProtocol.AttachRank>(told.Message).Worker);
            Assert.All(told.Descriptors, descriptor => Assert.True(RandomAccess.GetLength(descriptor) > 0));
            var connection = told.Connection;
            Assert.Equal(Environment.ProcessId, connection.ProcessId);

            // The rank lends what it was handed back.
            Assert.True(connection.TrySend(Operate(1), told.Descriptors));
            Assert.Equal(1, (await worker.HearAsync<WorkerProtocol.Operate>()).Operation);
            Assert.Equal(600, worker.Descriptors.Count);
            worker.Say(Done);
            Assert.Equal("received", rig.NextOfWorkers().What);
            worker.Say(new WorkerProtocol.StuckReleased([new Extent(0, new PageId(0), 0, 1)]));
            Assert.IsType<WorkerProtocol.StuckReleased>(rig.NextOfWorkers().Message);
            worker.Say(WorkerProtocol.Detach.Instance);
            Assert.IsType<WorkerProtocol.Detach>(rig.NextOfWorkers().Message);

            worker.Dispose();
            Assert.Equal(("disconnected", connection), Told(rig));
            Assert.False(connection.TrySend(Operate(2), [Opened()]));
            Assert.Empty(rig.Workers);
            rig.EndStranger();
            Assert.Equal(("died", connection), Told(rig));
        }

        await rig.UntilAsync(() => rig.Gateway.Processes.Count == 0 && GatewayRig.OpenDescriptors() <= before);
    }

    [Fact]
    public async Task Goodbye_IsHeard_ThoughTheHostSaysSomethingToTheClosedEndFirst()
    {
        using var rig = new GatewayRig();
        using var worker = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Worker);
        worker.Say(Attach());
        var connection = rig.NextOfWorkers().Connection;

        // On the gateway's own thread, so that it can't read the goodbye before it fails to send; and with something else to do, so that what comes of the failure has
        // its turn before what is there to be read.
        var isDone = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        rig.Gateway.Post(() =>
        {
            rig.Gateway.Post(() => { });
            worker.Say(WorkerProtocol.Detach.Instance);
            worker.Dispose();
            connection.TrySend(new WorkerProtocol.PoolGone(new Refusal(RefusalReason.UnknownPool, "closed")), []);
            isDone.SetResult();
        });
        await isDone.Task.WaitAsync(HostLauncher.Patience);

        Assert.IsType<WorkerProtocol.Detach>(rig.NextOfWorkers().Message);
        Assert.Equal(("disconnected", connection), Told(rig));
    }

    [Fact]
    public async Task Death_WhileConnected_ComesAfterWhatWasSaidAndTheEndOfTheConnection()
    {
        using var rig = new GatewayRig(hasStranger: true);
        using var worker = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Worker);
        worker.Say(Attach());
        var connection = rig.NextOfWorkers().Connection;
        rig.EndStranger();

        Assert.Equal(("disconnected", connection), Told(rig));
        Assert.Equal(("died", connection), Told(rig));
    }

    [Fact]
    public async Task Attach_ThatIsRefused_MayComeAgainAndLeavesNothingToWatch()
    {
        using var rig = new GatewayRig();
        using (var worker = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Worker))
        {
            worker.Say(Attach());
            var connection = rig.NextOfWorkers().Connection;
            connection.TrySend(new WorkerProtocol.AttachRefused(new Refusal(RefusalReason.UnknownPool, "not yet")), []);
            await worker.HearAsync<WorkerProtocol.AttachRefused>();
            worker.Say(Attach());
            Assert.Equal("attaching", rig.NextOfWorkers().What);
            connection.TrySend(new WorkerProtocol.AttachRefused(new Refusal(RefusalReason.UnknownPool, "not yet")), []);
            await worker.HearAsync<WorkerProtocol.AttachRefused>();
        }

        Assert.Equal("disconnected", rig.NextOfWorkers().What);
        await rig.UntilAsync(() => rig.Gateway.Processes.Count == 0);
    }

    [Fact]
    public async Task Close_AfterSending_LetsWhatWasSentArrive()
    {
        using var rig = new GatewayRig();
        using var worker = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Worker);
        worker.Say(Attach());
        var connection = rig.NextOfWorkers().Connection;
        for (var i = 1; i <= 200; i++)
        {
            Assert.True(connection.TrySend(Operate(i, 500), []));
        }

        connection.Close();
        for (var i = 1; i <= 200; i++)
        {
            Assert.Equal(i, Assert.IsType<WorkerProtocol.Operate>(await worker.HearAsync()).Operation);
        }

        Assert.Null(await worker.HearAsync());
    }

    public static TheoryData<object[]> OutOfTurn() =>
    [
        [Done],
        [WorkerProtocol.Detach.Instance],
        [new WorkerProtocol.StuckReleased([])],
        [Attach(), Attach()],
        [Attach(), Done],
        [Attach(), WorkerProtocol.Detach.Instance, WorkerProtocol.Detach.Instance],
        [Attach(), new WorkerProtocol.StuckReleased([])],
        [Attach(), Operate(1)],
    ];

    [Theory]
    [MemberData(nameof(OutOfTurn))]
    public async Task Messages_OutOfTurn_EndTheConnection(object[] messages)
    {
        using var rig = new GatewayRig();
        using var worker = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Worker);
        foreach (var message in messages)
        {
            worker.Say(message);
        }

        Assert.Equal(RefusalReason.InvalidMessage, (await worker.HearAsync<SocketProtocol.Rejected>()).Refusal.Reason);
        Assert.Null(await worker.HearAsync());
    }

    private static (string What, object Connection) Told(GatewayRig rig)
    {
        var (what, connection, _, _) = rig.NextOfWorkers();
        return (what, connection);
    }

    private static WorkerProtocol.AttachRank Attach() =>
        new(WorkerIncarnation.New(), "p", 0, GpuId.Parse("HOST-0"), "host", default, default, 0, []);

    private static WorkerProtocol.Operate Operate(long number, int extents = 1) => new(
        number, WorkerOperationKind.Map, default, number, EngineStep.None,
        [.. Enumerable.Range(0, extents).Select(i => new LentExtent(new Extent(0, new PageId(i), 0, 1), default))], []);

    private static SafeFileHandle Opened() => File.OpenHandle("/proc/self/exe");

    private static void Close(IEnumerable<SafeFileHandle> files)
    {
        foreach (var file in files)
        {
            file.Dispose();
        }
    }
}
