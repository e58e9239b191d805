using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using Kvcached.Actors.Workers;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Sockets;
using Kvcached.Host.Gateway;
using Kvcached.Host.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Tests.Gateway;

/// <summary>A gateway over a real socket, with a rank and sessions that only note what they are told.</summary>
internal sealed class GatewayRig : IWorkerEvents, ISchedulerSessions, IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kvcached-gateway-");
    private readonly Process? _stranger;

    /// <param name="options">Limits.</param>
    /// <param name="hasStranger">
    /// True when all connections count as those of a process that the test can end; else they are the test's own process.
    /// </param>
    /// <param name="time">The clock.</param>
    /// <param name="tagDirectory">Where hosts of the machine say which files of tags they keep.</param>
    public GatewayRig(GatewayOptions? options = null, bool hasStranger = false, TimeProvider? time = null, string? tagDirectory = null)
    {
        _stranger = hasStranger ? Process.Start(new ProcessStartInfo("cat") { RedirectStandardInput = true }) : null;
        Assert.False(GatewaySocket.Open(Path.Combine(_directory.FullName, "engine.sock"), options ?? new GatewayOptions()).IsFailed(out var failure, out var socket), failure?.Message);
        Gateway = new SocketGateway(
            socket, options ?? new GatewayOptions(),
            new SocketProtocol.Welcome(1, new HostIncarnation(7), GpuId.Parse("HOST-0"), "default", "host", 4096, "test host"),
            this, this, TimeSpan.FromSeconds(30), time ?? TimeProvider.System, NullLogger.Instance,
            hasStranger ? OpenStranger : null, tagDirectory);
    }

    public SocketGateway Gateway { get; }

    public string SocketPath => Gateway.Path;

    /// <summary>What the rank was told, in order.</summary>
    public BlockingCollection<(string What, IWorkerConnection Connection, WorkerProtocol.IMessage? Message, ImmutableArray<SafeFileHandle> Descriptors)> Workers { get; } = [];

    /// <summary>The sessions, by id.</summary>
    public ConcurrentDictionary<SessionId, NotedSession> Sessions { get; } = new();

    /// <summary>What sessions were told, in order.</summary>
    public BlockingCollection<(SessionId Session, string What, EngineProtocol.ICommand? Command)> Told { get; } = [];

    public static int OpenDescriptors() => Directory.EnumerateFileSystemEntries("/proc/self/fd").Count();

    /// <summary>The next thing that the rank is told.</summary>
    public (string What, IWorkerConnection Connection, WorkerProtocol.IMessage? Message, ImmutableArray<SafeFileHandle> Descriptors) NextOfWorkers() =>
        Workers.TryTake(out var news, HostLauncher.Patience) ? news : throw new TimeoutException("The rank was told nothing.");

    /// <summary>The next thing that a session is told.</summary>
    public (SessionId Session, string What, EngineProtocol.ICommand? Command) NextOfSessions() =>
        Told.TryTake(out var news, HostLauncher.Patience) ? news : throw new TimeoutException("No session was told anything.");

    public void EndStranger()
    {
        _stranger!.Kill();
        _stranger.WaitForExit();
    }

    /// <summary>Waits until the gateway has done what it was given to do, and something is so.</summary>
    public async Task UntilAsync(Func<bool> isSo)
    {
        var waited = Stopwatch.StartNew();
        while (true)
        {
            var turn = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            Gateway.Post(() => turn.SetResult(isSo()));
            if (await turn.Task.WaitAsync(HostLauncher.Patience))
            {
                return;
            }

            Assert.True(waited.Elapsed < HostLauncher.Patience, "It never came about.");
            await Task.Delay(1);
        }
    }

    public void Attaching(IWorkerConnection connection, WorkerProtocol.AttachRank request, ImmutableArray<SafeFileHandle> heldDescriptors) =>
        Workers.Add(("attaching", connection, request, heldDescriptors));

    public void Received(IWorkerConnection connection, WorkerProtocol.IMessage message) => Workers.Add(("received", connection, message, []));

    public void Disconnected(IWorkerConnection connection) => Workers.Add(("disconnected", connection, null, []));

    public void Died(IWorkerConnection connection) => Workers.Add(("died", connection, null, []));

    public ISchedulerSession Open(SessionId session, Action ended) => Sessions[session] = new NotedSession(this, session, ended);

    public void Dispose()
    {
        Gateway.Dispose();
        if (_stranger is { HasExited: false })
        {
            _stranger.Kill();
        }

        _stranger?.Dispose();
        Workers.Dispose();
        Told.Dispose();
        _directory.Delete(recursive: true);
    }

    // A file is no socket, so that the process is found by its number.
    private SafeFileHandle? OpenStranger(System.Runtime.InteropServices.SafeHandle socket, PeerCredentials peer)
    {
        using var file = File.OpenHandle("/proc/self/status");
        return ProcessDescriptor.OfPeer(file, peer with { ProcessId = _stranger!.Id });
    }

    /// <summary>One session's partner.</summary>
    internal sealed class NotedSession(GatewayRig rig, SessionId id, Action ended) : ISchedulerSession
    {
        /// <summary>True when commands are answered as taken at once.</summary>
        public bool TakesCommands { get; set; } = true;

        public ISchedulerLine? Line { get; private set; }

        public void Attach(ISchedulerLine line)
        {
            Line = line;
            rig.Told.Add((id, "attach", null));
        }

        public void Detach(ISchedulerLine line) => rig.Told.Add((id, "detach", null));

        public void Tell(ISchedulerLine line, EngineProtocol.ICommand command)
        {
            rig.Told.Add((id, "command", command));
            if (TakesCommands)
            {
                line.CommandTaken();
            }
        }

        public void Died() => rig.Told.Add((id, "died", null));

        /// <summary>The session is over.</summary>
        public void End() => ended();
    }
}
