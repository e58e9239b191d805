using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;
using Kvcached.Host.Startup;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Gateway;

/// <summary>The engine socket of a host process, seen from outside.</summary>
public sealed class HostSocketTests : IAsyncLifetime
{
    private readonly HostLauncher _launcher = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public Task DisposeAsync() => _launcher.DisposeAsync().AsTask();

    [Fact]
    public async Task Scheduler_OverTheSocket_OpensAPoolGrowsGivesBackAndCloses()
    {
        var host = await _launcher.StartReadyAsync("--gpu", "none:0");
        Assert.Equal(Path.Combine(_launcher.TestDirectory, "kvcached", "engine-HOST-0.sock"), host.Ready.Socket);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(host.Ready.Socket));
        using var engine = RawEngine.Connect(host.Ready.Socket);
        engine.Say(RawEngine.Hello(EngineRole.Scheduler));
        var welcome = Assert.IsType<SocketProtocol.Welcome>(await engine.HearAsync());
        Assert.Equal(("HOST-0", "default", "host"), (welcome.Gpu.Value, welcome.Domain, welcome.Backend));

        var session = SessionId.New();
        engine.Say(new EngineProtocol.OpenSession(session, "test", "default"));
        await engine.HearAsync<EngineProtocol.SessionOpened>();
        var pool = (await AskAsync<EngineProtocol.PoolOpened>(engine, new EngineProtocol.OpenPool(session, new RequestId(1), default, RawEngine.Spec()))).Pool;
        var granted = await AskAsync<EngineProtocol.PagesAllocated>(
            engine, new EngineProtocol.AllocatePages(session, new RequestId(2), new RequestId(1), pool, 0, 4, TimeSpan.FromSeconds(20)));
        Assert.Equal(4, granted.Extents.Sum(extent => extent.PageCount));
        await AskAsync<EngineProtocol.ExtentsFreed>(
            engine, new EngineProtocol.FreeExtents(session, new RequestId(3), new RequestId(2), pool, granted.Extents, EngineStep.None));
        await AskAsync<EngineProtocol.PoolClosed>(engine, new EngineProtocol.ClosePool(session, new RequestId(4), new RequestId(3), pool));
        engine.Say(new EngineProtocol.CloseSession(session));
        await engine.HearAsync<EngineProtocol.SessionClosed>();

        host.Terminate();
        Assert.Equal(RefusalReason.HostUnreachable, (await engine.HearAsync<SocketProtocol.Rejected>()).Refusal.Reason);
        Assert.Equal(0, await host.WaitForExitAsync());
        Assert.False(Path.Exists(host.Ready.Socket));
    }

    [Fact]
    public async Task HostilePeers_ByTheHundred_LeaveAHostAsItWas()
    {
        var host = await _launcher.StartReadyAsync("--gpu", "none:0");
        (await RawEngine.GreetAsync(host.Ready.Socket, EngineRole.Scheduler)).Dispose();
        var before = await SettledAsync(host.ProcessId, int.MaxValue);
        var random = new Random(1);
        using var file = File.OpenHandle("/proc/self/exe");
        for (var i = 0; i < 300; i++)
        {
            using var peer = RawEngine.Connect(host.Ready.Socket);
            for (var j = random.Next(4); j > 0; j--)
            {
                var bytes = new byte[random.Next(1, 300)];
                random.NextBytes(bytes);
                if (random.Next(2) == 0 && bytes.Length >= FrameHeader.ByteCount)
                {
                    new FrameHeader(bytes.Length, (SocketMessageType)random.Next(0x300), random.Next(2) == 0, 3).Write(bytes);
                }

                peer.Channel.TrySend(bytes, [file, peer.Channel.Socket, file]);
            }
        }

        await SettledAsync(host.ProcessId, before);
        using var engine = await RawEngine.GreetAsync(host.Ready.Socket, EngineRole.Scheduler);
        engine.Say(new EngineProtocol.OpenSession(SessionId.New(), "test", "default"));
        await engine.HearAsync<EngineProtocol.SessionOpened>();
    }

    [Fact]
    public async Task Start_WhereADeadHostWas_TakesItsSocketOver()
    {
        var path = Path.Combine(_launcher.TestDirectory, "s.sock");
        var first = await _launcher.StartReadyAsync("--gpu", "none:0", "--socket", path);
        first.Kill();
        await first.WaitForExitAsync();
        Assert.True(Path.Exists(path));

        var second = await _launcher.StartReadyAsync("--gpu", "none:0", "--socket", path);
        Assert.Equal(path, second.Ready.Socket);
        (await RawEngine.GreetAsync(path, EngineRole.Scheduler)).Dispose();
    }

    [Fact]
    public async Task Start_WhereALivingHostServes_ExitsAndSaysWhoDoes()
    {
        var first = await _launcher.StartReadyAsync("--gpu", "none:0");
        var second = _launcher.Start("--gpu", "none:1", "--port", "0", "--management-port", "0", "--memory", "64MiB", "--socket", first.Ready.Socket);
        Assert.Equal((int)HostExitCode.SocketUnusable, await second.WaitForExitAsync());
        Assert.Contains($"kvcached-host: socket: '{first.Ready.Socket}' is served by process {first.ProcessId} already; stop that host", second.Errors, StringComparison.Ordinal);
        (await RawEngine.GreetAsync(first.Ready.Socket, EngineRole.Scheduler)).Dispose();
    }

    public static TheoryData<string, string> BadPlaces() => new()
    {
        { "file", "is there already and is no socket" },
        { "foreign", "is served by another process" },
        { "nowhere/s.sock", "is in a directory that isn't there" },
    };

    [Theory]
    [MemberData(nameof(BadPlaces))]
    public async Task Start_PlaceThatCannotBeServed_ExitsAndLeavesItAsItIs(string name, string expected)
    {
        var path = Path.Combine(_launcher.TestDirectory, name);
        await File.WriteAllTextAsync(Path.Combine(_launcher.TestDirectory, "file"), "mine");
        Assert.True(UnixMessageListener.TryListen(
            Path.Combine(_launcher.TestDirectory, "foreign"), UnixFileMode.UserRead | UnixFileMode.UserWrite, null, out var foreign, out _));
        using (foreign)
        {
            var host = _launcher.Start("--gpu", "none:0", "--port", "0", "--management-port", "0", "--memory", "64MiB", "--socket", path);
            Assert.Equal((int)HostExitCode.SocketUnusable, await host.WaitForExitAsync());
            Assert.Contains($"kvcached-host: socket: '{path}' {expected}", host.Errors, StringComparison.Ordinal);
            Assert.Equal("mine", await File.ReadAllTextAsync(Path.Combine(_launcher.TestDirectory, "file")));
        }
    }

    [Fact]
    public async Task Start_WithUsersAdmitted_OpensTheFileToThem()
    {
        var host = await _launcher.StartReadyAsync("--gpu", "none:0", "--allow-uid", "4242");
        Assert.Equal((UnixFileMode)0x1B6, File.GetUnixFileMode(host.Ready.Socket));
        (await RawEngine.GreetAsync(host.Ready.Socket, EngineRole.Scheduler)).Dispose();
    }

    [Fact]
    public async Task Start_GroupThatIsNotThere_ExitsWithUsage()
    {
        var host = _launcher.Start("--gpu", "none:0", "--port", "0", "--management-port", "0", "--memory", "64MiB", "--socket-group", "no-such-group");
        Assert.Equal((int)HostExitCode.Usage, await host.WaitForExitAsync());
        Assert.Contains("socket-group: there is no group 'no-such-group'", host.Errors, StringComparison.Ordinal);
    }

    // A coordinator that has just begun doesn't answer yet; asking again is the protocol's way.
    private static async Task<T> AskAsync<T>(RawEngine engine, EngineProtocol.IRequest request)
        where T : EngineProtocol.IReply
    {
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        engine.Say(request);
        var answer = engine.HearAsync<EngineProtocol.IReply>();
        while (await Task.WhenAny(answer, again.WaitForNextTickAsync().AsTask()) != answer)
        {
            engine.Say(request);
        }

        while (await answer is var reply && reply.Request != request.Request)
        {
            answer = engine.HearAsync<EngineProtocol.IReply>();
        }

        var last = await answer;
        return Assert.IsType<T>(last);
    }

    /// <summary>Open descriptors of a process, once they are no more than so many and no longer fall.</summary>
    private static async Task<int> SettledAsync(int processId, int most)
    {
        var (last, equal) = (-1, 0);
        for (var tries = 0; equal < 5 || last > most; tries++)
        {
            Assert.True(tries < 600, $"{last} descriptors are open, {most} were before.");
            var now = Directory.EnumerateFileSystemEntries($"/proc/{processId}/fd").Count();
            (last, equal) = (now, now == last ? equal + 1 : 0);
            await Task.Delay(100);
        }

        return last;
    }
}
