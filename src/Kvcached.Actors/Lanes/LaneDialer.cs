using System.Buffers;
using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Event;
using Kvcached.Actors.Dispatch;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Contracts;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Actors.Lanes;

/// <summary>
/// The coordinator's end of lanes: connects with ranks of this machine, and tells the coordinator when a lane is open, that there is none, or that it has ended.
/// What ranks answer is told to it before the end of their lane. One thread for all lanes.
/// </summary>
internal sealed class LaneDialer : IDisposable
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan DefaultWelcomeDeadline = TimeSpan.FromSeconds(10);

    private readonly IActorRef _coordinator;
    private readonly LaneCodec _codec;
    private readonly ILoggingAdapter _log;
    private readonly TimeSpan _welcomeDeadline;
    private readonly EpollLoop _loop;
    private readonly HashSet<LaneConnection> _connections = [];

    /// <param name="system">The coordinator's system.</param>
    /// <param name="coordinator">Who is told.</param>
    /// <param name="welcomeDeadline">A rank answers by then, or there is no lane to it; null = 10 s.</param>
    public LaneDialer(ActorSystem system, IActorRef coordinator, TimeSpan? welcomeDeadline = null)
    {
        _welcomeDeadline = welcomeDeadline ?? DefaultWelcomeDeadline;
        _coordinator = coordinator;
        _codec = new LaneCodec((ExtendedActorSystem)system);
        _log = Logging.GetLogger(system, typeof(LaneDialer));
        _loop = new EpollLoop("kvcached-lanes", exception => _log.Error(exception, "A lane failed over something; the others go on"));
    }

    /// <summary>The lane that was asked for is open.</summary>
    internal sealed record LaneOpened(LaneHello Hello, IRankLink Link) : INoSerializationVerificationNeeded;

    /// <summary>There is no lane; nothing was sent by it.</summary>
    internal sealed record LaneFailed(LaneHello Hello, string Why) : INoSerializationVerificationNeeded;

    /// <summary>A lane that was open has ended. What was sent by it last may or may not have come to the rank.</summary>
    internal sealed record LaneLost(LaneHello Hello, string Why) : INoSerializationVerificationNeeded;

    /// <summary>Asks for a lane. Exactly one of <see cref="LaneOpened"/> and <see cref="LaneFailed"/> is told.</summary>
    public void Dial(string path, LaneHello hello) => Task.Run(() =>
    {
        if (!UnixMessageChannel.TryConnect(path, ConnectTimeout, out var channel, out var failure))
        {
            Tell(new LaneFailed(hello, failure.Text));
        }
        else if (!PeerCredentials.TryRead(channel.Socket, out var peer) || peer.UserId != PeerCredentials.OwnUserId)
        {
            channel.Dispose();
            Tell(new LaneFailed(hello, $"'{path}' is served by another user"));
        }
        else
        {
            _loop.Post(() => Begin(new LaneConnection(_loop, channel), hello));
        }
    });

    /// <summary>Ends all lanes, without telling anyone.</summary>
    public void Dispose()
    {
        _loop.Post(() =>
        {
            foreach (var connection in _connections)
            {
                connection.Dispose();
            }
        });
        _loop.Dispose();
    }

    private void Begin(LaneConnection connection, LaneHello hello)
    {
        _connections.Add(connection);
        var hurry = new Timer(_ => connection.Close("the rank gave no answer in time"), null, _welcomeDeadline, Timeout.InfiniteTimeSpan);
        connection.Start(
            (type, body) =>
            {
                hurry.Dispose();
                return Answered(connection, hello, type, body);
            },
            why =>
            {
                hurry.Dispose();
                _connections.Remove(connection);
                Tell(new LaneFailed(hello, why));
            });
        connection.Send(LaneFrameType.Hello, hello, static (message, buffer) =>
        {
            var writer = new WireWriter(buffer);
            message.Write(ref writer);
            writer.Flush();
        });
    }

    private string? Answered(LaneConnection connection, LaneHello hello, LaneFrameType type, ReadOnlySpan<byte> body)
    {
        if (type == LaneFrameType.Refused)
        {
            var reader = new WireReader(body);
            return reader.TryReadText(out var why) ? why : "the rank refused it";
        }

        if (type != LaneFrameType.Welcome || !LaneHello.TryRead(body, out var answer) || answer != hello)
        {
            return $"the rank answered with a frame {(ushort)type:x4} that is no welcome to it";
        }

        connection.HandOver(
            (next, bytes) => Receive(hello, next, bytes),
            why =>
            {
                _connections.Remove(connection);
                Tell(new LaneLost(hello, why));
            });
        Tell(new LaneOpened(hello, new Link(connection, _codec, _log)));
        return null;
    }

    private string? Receive(LaneHello hello, LaneFrameType type, ReadOnlySpan<byte> body)
    {
        if (type != LaneFrameType.Message)
        {
            return $"a frame {(ushort)type:x4} came out of turn";
        }

        if (!_codec.TryReadReply(body, out var reply, out var problem))
        {
            return problem;
        }

        if (reply.Gpu != hello.Gpu || reply.Incarnation != hello.Incarnation)
        {
            return $"an answer came in the name of {reply.Gpu} in {reply.Incarnation}";
        }

        GuestTurn.Tell(_coordinator, reply, ActorRefs.NoSender);
        return null;
    }

    private void Tell(object message) => _coordinator.Tell(message, ActorRefs.NoSender);

    /// <summary>Reaches a rank by its lane. What is sent after its end is lost.</summary>
    private sealed class Link(LaneConnection connection, LaneCodec codec, ILoggingAdapter log) : IRankLink
    {
        private readonly Action<RankProtocol.ICommand, IBufferWriter<byte>> _write = codec.Write;

        public void Send(RankProtocol.ICommand command)
        {
            try
            {
                connection.Send(LaneFrameType.Message, command, _write);
            }
            catch (SerializationException exception)
            {
                log.Error("A command can't be sent: {What}", exception.Message);
            }
        }

        public void Close() => connection.Close("the coordinator doesn't use it any more");
    }
}
