using System.Runtime.InteropServices;
using Kvcached.Actors.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;
using Kvcached.Host.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Gateway;

/// <summary>
/// Serves engine processes over the host's Unix socket: schedulers, whose sessions are relayed to the coordinator, and workers, of which the rank is told.
/// One thread for all connections.
/// </summary>
internal sealed partial class SocketGateway : IDisposable
{
    private const int AcceptsPerTurn = 64;

    private static readonly TimeSpan ExhaustedPause = TimeSpan.FromMilliseconds(200);

    /// <summary>How long a new file of tags has no copy with another host, at most.</summary>
    private static readonly TimeSpan CopyInterval = TimeSpan.FromSeconds(1);

    private readonly GatewaySocket _socket;
    private readonly Admission _admission;
    private readonly TimeSpan _tagWindow;
    private readonly TagCopies _tagCopies;
    private readonly ITimer _copying;
    private readonly ILogger _log;
    private readonly HashSet<GatewayConnection> _connections = [];
    private long _listenerToken;
    private long _lastConnection;
    private bool _isStopping;

    /// <param name="socket">The socket, which the gateway owns from now on.</param>
    /// <param name="options">Whom to serve, and limits.</param>
    /// <param name="welcome">What the host says of itself.</param>
    /// <param name="workers">Told of workers.</param>
    /// <param name="sessions">Makes the sessions of schedulers.</param>
    /// <param name="tagWindow">How long a pool whose session has ended may pass to another one.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">The log.</param>
    /// <param name="openProcess">Opens a descriptor of the process that connected; null = as the kernel tells it.</param>
    /// <param name="tagDirectory">Where the machine's hosts of the domain say which files of tags they keep; null = for itself alone.</param>
    public SocketGateway(
        GatewaySocket socket, GatewayOptions options, SocketProtocol.Welcome welcome, IWorkerEvents workers, ISchedulerSessions sessions, TimeSpan tagWindow,
        TimeProvider time, ILogger log, Func<SafeHandle, PeerCredentials, SafeFileHandle?>? openProcess = null, string? tagDirectory = null)
    {
        _socket = socket;
        _tagWindow = tagWindow;
        _log = log;
        Options = options;
        Welcome = welcome;
        Workers = workers;
        Time = time;
        _admission = new Admission(options, Libc.geteuid(), socket.Group);
        var places = new TagPlaces(tagDirectory);
        Tags = new TagKeeper(options.MaxTagFiles, time, places);
        _tagCopies = new TagCopies(options.MaxTagFiles, tagWindow, time, places);
        Loop = new EpollLoop("kvcached-gateway", exception => LogFault(_log, exception));
        Processes = new ProcessWatches(Loop, openProcess ?? ProcessDescriptor.OfPeer, ProcessEnded);
        Schedulers = new SchedulerDesk(options, sessions, Tags, Processes, Post, _ => PostLater(tagWindow, () => Tags.Expire(_tagWindow)));
        Loop.Post(() => Loop.TryAdd(socket.Listener.Socket, Readiness.Readable, _ => Accept(), out _listenerToken));
        _copying = time.CreateTimer(_ => Post(UpdateCopies), null, CopyInterval, CopyInterval);
    }

    public GatewayOptions Options { get; }

    public SocketProtocol.Welcome Welcome { get; }

    public IWorkerEvents Workers { get; }

    public SchedulerDesk Schedulers { get; }

    public TagKeeper Tags { get; }

    public EpollLoop Loop { get; }

    public ProcessWatches Processes { get; }

    public TimeProvider Time { get; }

    public string Path => _socket.Path;

    /// <summary>Where packets are received, one after the other.</summary>
    public byte[] Buffer { get; } = new byte[SocketLimits.MaxFrameBytes];

    /// <summary>Bytes of all unfinished messages.</summary>
    public long UnfinishedBytes { get; set; }

    /// <summary>Open connections; read from any thread for display.</summary>
    public int ConnectionCount => _connections.Count;

    public void Post(Action action) => Loop.Post(action);

    public void PostLater(TimeSpan delay, Action action)
    {
        ITimer? timer = null;
        timer = Time.CreateTimer(
            _ =>
            {
                Post(action);
                timer?.Dispose();
            },
            null, delay, Timeout.InfiniteTimeSpan);
    }

    /// <summary>A connection begins to end.</summary>
    public void Ending(GatewayConnection connection, string why) => LogEnding(_log, connection, why);

    /// <summary>A connection is closed: tells whom it concerns.</summary>
    public void Ended(GatewayConnection connection)
    {
        if (!_connections.Remove(connection))
        {
            return;
        }

        _admission.Release(connection.UserId);
        if (connection.Role == EngineRole.Scheduler)
        {
            Schedulers.Disconnected(connection);
        }

        connection.Process?.Open.Remove(connection);
        if (connection.Worker is { IsAttaching: true } worker)
        {
            Workers.Disconnected(connection);
            if (!worker.IsRefused)
            {
                connection.Process!.Ended.Add(connection);
            }
        }

        if (connection.Process is { } process)
        {
            Processes.Release(process);
        }
    }

    /// <summary>Removes the socket file, closes all connections with the reason, and ends the thread.</summary>
    public void Dispose()
    {
        if (_isStopping)
        {
            return;
        }

        _isStopping = true;
        _copying.Dispose();
        Loop.Post(() =>
        {
            Loop.Remove(_listenerToken, _socket.Listener.Socket);
            _socket.Dispose();
            foreach (var connection in _connections.ToArray())
            {
                connection.Reject(new Refusal(RefusalReason.HostUnreachable, "The host is stopping."));
                connection.Dispose();
            }

            Processes.Clear();
        });
        Loop.Dispose();
        Tags.Dispose();
        _tagCopies.Dispose();
    }

    private void UpdateCopies()
    {
        if (!_isStopping)
        {
            _tagCopies.Update();
        }
    }

    private void Accept()
    {
        for (var i = 0; i < AcceptsPerTurn; i++)
        {
            switch (_socket.Listener.TryAccept(out var channel))
            {
                case AcceptStatus.Accepted:
                    Admit(channel!);
                    break;
                case AcceptStatus.Exhausted:
                    // The listener stays readable: without a pause this would turn for ever.
                    LogExhausted(_log, _connections.Count);
                    Loop.Change(_listenerToken, _socket.Listener.Socket, Readiness.None);
                    PostLater(ExhaustedPause, () => Loop.Change(_listenerToken, _socket.Listener.Socket, Readiness.Readable));
                    return;
                default:
                    return;
            }
        }
    }

    private void Admit(UnixMessageChannel channel)
    {
        if (!PeerCredentials.TryRead(channel.Socket, out var peer))
        {
            channel.Dispose();
            return;
        }

        if (_admission.Admit(peer, channel.Socket) is { } refusal)
        {
            LogRefused(_log, peer.ProcessId, peer.UserId, refusal.Detail);
            Refuse(channel, refusal);
            return;
        }

        var connection = new GatewayConnection(this, channel, peer, ++_lastConnection);
        _connections.Add(connection);
        if (!connection.Start())
        {
            connection.Dispose();
        }
    }

    private static void Refuse(UnixMessageChannel channel, Refusal refusal)
    {
        using var outgoing = new OutgoingMessages(channel, SocketLimits.MaxMessageBytes, 1, 0);
        var body = new System.Buffers.ArrayBufferWriter<byte>(256);
        var type = EngineSocketCodec.Write(new SocketProtocol.Rejected(refusal), body);
        outgoing.TryAdd(type, body.WrittenMemory, []);
        outgoing.Flush();
        channel.DisposeGently();
    }

    private void ProcessEnded(ProcessWatch process)
    {
        foreach (var connection in process.Open.ToArray())
        {
            connection.EndAfterLastWords();
        }

        foreach (var connection in process.Ended)
        {
            Workers.Died(connection);
        }

        Schedulers.Died([.. process.Sessions]);
    }

    [LoggerMessage(EventIds.GatewayFault, LogLevel.Error, "The engine gateway failed over something; it goes on")]
    private static partial void LogFault(ILogger log, Exception exception);

    [LoggerMessage(EventIds.GatewayExhausted, LogLevel.Warning, "An engine can't be served with {Connections} connections open: the limit of open files is reached. Raise it (ulimit -n, LimitNOFILE in systemd)")]
    private static partial void LogExhausted(ILogger log, int connections);

    [LoggerMessage(EventIds.GatewayRefused, LogLevel.Information, "Process {Process} of user {User} was refused: {Why}")]
    private static partial void LogRefused(ILogger log, int process, uint user, string why);

    [LoggerMessage(EventIds.GatewayEnding, LogLevel.Debug, "Closing {Connection}: {Why}")]
    private static partial void LogEnding(ILogger log, GatewayConnection connection, string why);
}
