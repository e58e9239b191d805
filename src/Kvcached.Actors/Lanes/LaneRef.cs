using System.Buffers;
using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Event;
using Kvcached.Actors.Protocols;

namespace Kvcached.Actors.Lanes;

/// <summary>
/// Stands for the coordinator at the rank's end of a lane: what is told to it goes back by the lane that the command came by. Once that has ended, it is lost, as
/// any answer may be; whoever waits for it asks again.
/// </summary>
internal sealed class LaneRef : MinimalActorRef
{
    private readonly LaneConnection _connection;
    private readonly Action<RankProtocol.IReply, IBufferWriter<byte>> _write;
    private readonly ILoggingAdapter _log;

    public LaneRef(ExtendedActorSystem system, LaneConnection connection, LaneCodec codec, LaneId lane)
    {
        (_connection, _write) = (connection, codec.Write);
        _log = Logging.GetLogger(system, typeof(LaneRef));
        Provider = system.Provider;
        Path = new RootActorPath(system.Provider.DefaultAddress) / "lanes" / $"{lane.Epoch.Counter}-{lane.Serial}";
    }

    public override ActorPath Path { get; }

    public override IActorRefProvider Provider { get; }

    protected override void TellInternal(object message, IActorRef sender)
    {
        if (message is not RankProtocol.IReply reply)
        {
            return;
        }

        try
        {
            _connection.Send(LaneFrameType.Message, reply, _write);
        }
        catch (SerializationException exception)
        {
            _log.Error("An answer to the coordinator can't be sent: {What}", exception.Message);
        }
    }
}
