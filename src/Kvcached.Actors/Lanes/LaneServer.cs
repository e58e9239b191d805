using Akka.Actor;
using Akka.Event;
using Kvcached.Actors.Dispatch;
using Kvcached.Core.Contracts;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Actors.Lanes;

/// <summary>
/// The rank's end of lanes: a private socket, at which coordinators of this machine and user say which rank they mean, and one lane at a time, whose commands are told
/// to the page mapper of the moment. A lane belongs to the mapper that it began with, and ends with it.
/// </summary>
internal sealed class LaneServer : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const int MostUngreeted = 16;

    private static readonly TimeSpan DefaultHelloDeadline = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan ExhaustedPause = TimeSpan.FromMilliseconds(200);

    private readonly ExtendedActorSystem _system;
    private readonly UnixMessageListener _listener;
    private readonly string _domain;
    private readonly GpuId _gpu;
    private readonly HostIncarnation _incarnation;
    private readonly ILoggingAdapter _log;
    private readonly LaneCodec _codec;
    private readonly TimeSpan _helloDeadline;
    private readonly EpollLoop _loop;
    private readonly HashSet<LaneConnection> _ungreeted = [];
    private OpenLane? _current;
    private volatile IActorRef _mapper = ActorRefs.Nobody;
    private LaneId _last;
    private long _listenerToken;

    private LaneServer(
        ExtendedActorSystem system, UnixMessageListener listener, string domain, GpuId gpu, HostIncarnation incarnation, TimeSpan helloDeadline)
    {
        _helloDeadline = helloDeadline;
        (_system, _listener, _domain, _gpu, _incarnation) = (system, listener, domain, gpu, incarnation);
        _log = Logging.GetLogger(system, typeof(LaneServer));
        _codec = new LaneCodec(system);
        _loop = new EpollLoop("kvcached-lane", exception => _log.Error(exception, "The lane of {Gpu} failed over something; it goes on", gpu));
        _loop.Post(() => _loop.TryAdd(listener.Socket, Readiness.Readable, _ => Accept(), out _listenerToken));
    }

    private sealed record OpenLane(LaneConnection Connection, IActorRef Mapper);

    /// <summary>All that a lane has brought was told to the mapper before this.</summary>
    internal sealed record LaneEnded(LaneId Lane) : INoSerializationVerificationNeeded;

    public string Path => _listener.Path;

    /// <summary>Serves a socket in the run directory. Null, with the reason, where that can't be: Akka.Remote serves as well.</summary>
    public static LaneServer? TryOpen(
        ActorSystem system, string runDirectory, string domain, GpuId gpu, HostIncarnation incarnation, out string? problem, TimeSpan? helloDeadline = null)
    {
        // Main memory has its number only within its domain.
        var path = System.IO.Path.Combine(runDirectory, gpu.IsHostMemory ? $"lane-{gpu}@{domain}.sock" : $"lane-{gpu}.sock");
        try
        {
            // The device belongs to this process alone, so that whoever served it before is gone.
            File.Delete(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problem = $"'{path}' was left by a host before and can't be removed: {exception.Message}";
            return null;
        }

        if (!UnixMessageListener.TryListen(path, OwnerOnly, null, out var listener, out problem))
        {
            problem = $"'{path}' {problem}";
            return null;
        }

        return new LaneServer((ExtendedActorSystem)system, listener, domain, gpu, incarnation, helloDeadline ?? DefaultHelloDeadline);
    }

    /// <summary>Commands go to that mapper from now on; the lane of the one before ends. Nobody: no lane is taken. From any thread.</summary>
    public void Use(IActorRef mapper)
    {
        // At once: whoever hears of the mapper may ask for a lane to it.
        _mapper = mapper;
        _loop.Post(() =>
        {
            if (_current is { } lane && !lane.Mapper.Equals(_mapper))
            {
                lane.Connection.Abort("its page mapper has ended");
            }
        });
    }

    /// <summary>Ends the lane that is open, as if its socket had failed: what wasn't read yet is lost. From any thread.</summary>
    public void Cut() => _loop.Post(() => _current?.Connection.Abort("it was cut"));

    /// <summary>Serves nobody any more.</summary>
    public void Dispose()
    {
        try
        {
            File.Delete(Path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The next host removes it.
        }

        _loop.Post(() =>
        {
            _loop.Remove(_listenerToken, _listener.Socket);
            _listener.Dispose();
            _current?.Connection.Dispose();
            foreach (var connection in _ungreeted.ToArray())
            {
                connection.Dispose();
            }
        });
        _loop.Dispose();
    }

    private void Accept()
    {
        AcceptStatus status;
        while ((status = _listener.TryAccept(out var channel)) == AcceptStatus.Accepted)
        {
            // The file lets in nobody else, but its mode could be changed.
            if (!PeerCredentials.TryRead(channel!.Socket, out var peer) || peer.UserId != PeerCredentials.OwnUserId || _ungreeted.Count >= MostUngreeted)
            {
                channel.Dispose();
                continue;
            }

            var connection = new LaneConnection(_loop, channel);
            _ungreeted.Add(connection);
            var hurry = new Timer(_ => connection.Close("it said no hello in time"), null, _helloDeadline, Timeout.InfiniteTimeSpan);
            connection.Start(
                (type, body) =>
                {
                    hurry.Dispose();
                    return Greet(connection, type, body);
                },
                why =>
                {
                    hurry.Dispose();
                    _ungreeted.Remove(connection);
                    _log.Debug("A connection to the lane of {Gpu} ended before it was one: {Why}", _gpu, why);
                });
        }

        if (status == AcceptStatus.Exhausted)
        {
            PauseAccepting();
        }
    }

    // The listener stays readable while this process has no descriptor left: without a pause the loop would turn for ever.
    private void PauseAccepting()
    {
        _log.Warning("A coordinator can't be served at the lane of {Gpu}: this process may open no more files. Raise the limit (ulimit -n, LimitNOFILE in systemd)", _gpu);
        _loop.Change(_listenerToken, _listener.Socket, Readiness.None);
        Timer? timer = null;
        timer = new Timer(
            _ =>
            {
                _loop.Post(() => _loop.Change(_listenerToken, _listener.Socket, Readiness.Readable));
                timer?.Dispose();
            },
            null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        timer.Change(ExhaustedPause, Timeout.InfiniteTimeSpan);
    }

    private string? Greet(LaneConnection connection, LaneFrameType type, ReadOnlySpan<byte> body)
    {
        if (type != LaneFrameType.Hello || !LaneHello.TryRead(body, out var hello))
        {
            return $"it began with a frame {(ushort)type:x4} that is no hello of this version";
        }

        if (FindProblem(hello) is { } problem)
        {
            connection.Send(LaneFrameType.Refused, problem, static (text, buffer) =>
            {
                var writer = new WireWriter(buffer);
                writer.WriteText(text);
                writer.Flush();
            });
            return problem;
        }

        _ungreeted.Remove(connection);
        _current?.Connection.Abort($"{hello.Lane} takes its place");
        var mapper = _mapper;
        (_current, _last) = (new OpenLane(connection, mapper), hello.Lane);
        var coordinator = new LaneRef(_system, connection, _codec, hello.Lane);
        connection.HandOver(
            (next, bytes) => Receive(next, bytes, mapper, coordinator),
            why => Ended(connection, hello.Lane, mapper, why));
        connection.Send(LaneFrameType.Welcome, hello, static (answer, buffer) =>
        {
            var writer = new WireWriter(buffer);
            answer.Write(ref writer);
            writer.Flush();
        });
        _log.Info("{Lane} to {Gpu} is open", hello.Lane, _gpu);
        return null;
    }

    private string? FindProblem(LaneHello hello) =>
        hello.Domain != _domain || hello.Gpu != _gpu || hello.Incarnation != _incarnation
            ? $"this is {_gpu} of domain '{_domain}' in {_incarnation}, not {hello.Gpu} of '{hello.Domain}' in {hello.Incarnation}"
        : hello.Lane <= _last ? $"{hello.Lane} isn't above {_last}, which it follows"
        : _mapper.IsNobody() ? $"{_gpu} has no page mapper at the moment"
        : null;

    private string? Receive(LaneFrameType type, ReadOnlySpan<byte> body, IActorRef mapper, LaneRef coordinator)
    {
        if (type != LaneFrameType.Message)
        {
            return $"a frame {(ushort)type:x4} came out of turn";
        }

        if (!_codec.TryReadCommand(body, out var command, out var problem))
        {
            return problem;
        }

        GuestTurn.Tell(mapper, command, coordinator);
        return null;
    }

    private void Ended(LaneConnection connection, LaneId lane, IActorRef mapper, string why)
    {
        _log.Warning("{Lane} to {Gpu} has ended: {Why}", lane, _gpu, why);
        if (_current?.Connection == connection)
        {
            _current = null;
        }

        mapper.Tell(new LaneEnded(lane), ActorRefs.NoSender);
    }
}
