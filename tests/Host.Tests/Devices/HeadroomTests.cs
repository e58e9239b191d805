using Kvcached.Core.Contracts;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Kvcached.Core.Units;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Devices;

/// <summary>A whole host gives way to programs that take memory of its device.</summary>
public sealed class HeadroomTests : IAsyncLifetime
{
    private const long PageIdBytes = 4 * ByteSize.MiB;

    private readonly HostLauncher _launcher = new();
    private long _lastRequest;

    private string StrangersFile => Path.Combine(_launcher.TestDirectory, "strangers");

    public Task InitializeAsync() => Task.CompletedTask;

    public Task DisposeAsync() => _launcher.DisposeAsync().AsTask();

    [Fact]
    public async Task Strangers_TakeAndLeaveTheDevice_PoolsShrinkAndGrow()
    {
        SayStrangersUse("0");
        var host = await _launcher.StartReadyAsync(
            "--gpu", "none:0", "--headroom", "4MiB", "--headroom-calm", "0", "--housekeeping-interval", "50ms", "--register-interval", "50ms", "--test-foreign-memory", StrangersFile);
        await RoomIsAsync(host, 60);
        using var engine = await RawEngine.GreetAsync(host.Ready.Socket, EngineRole.Scheduler);
        var session = SessionId.New();
        engine.Say(new EngineProtocol.OpenSession(session, "test", "default"));
        await engine.HearAsync<EngineProtocol.SessionOpened>();
        var pool = (await AskAsync<EngineProtocol.PoolOpened>(engine, id => new EngineProtocol.OpenPool(session, id, default, RawEngine.Spec()))).Pool;
        var held = (await AskAsync<EngineProtocol.PagesAllocated>(engine, id => Grow(session, id, pool, 4))).Extents;

        SayStrangersUse("44MiB");
        await RoomIsAsync(host, 16);
        var refused = (await AskAsync<EngineProtocol.RequestRefused>(engine, id => Grow(session, id, pool, 1))).Refusal;
        Assert.Equal(RefusalReason.DeviceShort, refused.Reason);
        Assert.Contains("others use 44 MiB of the device's 64 MiB, 4 MiB is kept free, 16 MiB is left to pools", refused.Detail, StringComparison.Ordinal);

        SayStrangersUse("52MiB");
        var shrink = await engine.HearAsync<EngineProtocol.ShrinkRequested>();
        Assert.Equal(2 * PageIdBytes, Assert.Single(shrink.Wanted).ByteCount);
        Assert.True((await RoomIsAsync(host, 8)).IsDeviceShort);
        var (_, explained, _) = await Kvctl.RunAsync(new Dictionary<string, string> { ["KVCACHED_URL"] = host.Http.BaseAddress!.ToString() }, "explain");
        Assert.Contains("so that 8 MiB is left to pools: too little", explained.ReplaceLineEndings(" "), StringComparison.Ordinal);

        // What it returns isn't kept for it: it is the strangers' at once.
        await AskAsync<EngineProtocol.ExtentsFreed>(engine, id => new EngineProtocol.FreeExtents(session, id, default, pool, [.. held.TakeLast(2)], EngineStep.None));
        var gpus = await host.GetUntilAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, gpus => gpus[0] is { IsDeviceShort: false, RankKeptBytes: 0 });
        Assert.Equal(2 * PageIdBytes, gpus[0].RankMappedBytes);
        await host.Http.GetStringAsync("/metrics");
        Assert.Contains($$"""kvcached_device_foreign_bytes{otel_scope_name="Kvcached",gpu="HOST-0"} {{52 * ByteSize.MiB}}""", await host.Http.GetStringAsync("/metrics"), StringComparison.Ordinal);

        SayStrangersUse("0");
        await RoomIsAsync(host, 60);
        Assert.Equal(2, (await AskAsync<EngineProtocol.PagesAllocated>(engine, id => Grow(session, id, pool, 2))).Extents.Sum(extent => extent.PageCount));
    }

    private static EngineProtocol.AllocatePages Grow(SessionId session, RequestId id, PoolId pool, int pageCount) =>
        new(session, id, default, pool, 0, pageCount, TimeSpan.FromSeconds(20));

    private static async Task<GpuView> RoomIsAsync(RunningHost host, long mebibytes) =>
        (await host.GetUntilAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, gpus => gpus is [{ RoomBytes: { } room }] && room == mebibytes * ByteSize.MiB))[0];

    private async Task<T> AskAsync<T>(RawEngine engine, Func<RequestId, EngineProtocol.IRequest> make)
        where T : EngineProtocol.IReply
    {
        engine.Say(make(new RequestId(++_lastRequest)));
        return Assert.IsType<T>(await engine.HearAsync<EngineProtocol.IReply>());
    }

    private void SayStrangersUse(string size)
    {
        // Whole or not at all: the host may be reading it.
        File.WriteAllText(StrangersFile + "~", size);
        File.Move(StrangersFile + "~", StrangersFile, overwrite: true);
    }
}
