using System.Buffers;
using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Serialization;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Contracts;
using Kvcached.Core.Engines;

namespace Kvcached.Actors.Serialization;

/// <summary>
/// Writes and reads the messages that a grant, a return or a check waits for (<see cref="WireTypes.HotPath"/>), in the format of
/// <see cref="Core.Contracts"/>.
/// </summary>
/// <remarks>
/// Whatever the bytes, reading either gives a whole message or throws <see cref="SerializationException"/>: any other exception makes
/// Akka.Remote give the connection up. Lists that are the default array arrive as empty ones.
/// </remarks>
public sealed class HotPathSerializer(ExtendedActorSystem system) : SerializerWithStringManifest(system)
{
    /// <summary>Frozen: it names the format to every other host.</summary>
    public const int FrozenIdentifier = 7101;

    // A long table grows the buffer; one that is larger than this isn't kept for the next message.
    private const int MaxKeptBufferBytes = 1 << 20;

    [ThreadStatic]
    private static ArrayBufferWriter<byte>? _buffer;

    public override int Identifier => FrozenIdentifier;

    public override string Manifest(object o) =>
        WireTypes.HotPath.TryGetValue(o.GetType(), out var manifest) ? manifest : throw NotListed(o.GetType());

    public override byte[] ToBinary(object obj)
    {
        var buffer = _buffer ??= new ArrayBufferWriter<byte>(1024);
        buffer.ResetWrittenCount();
        var writer = new WireWriter(buffer);
        try
        {
            Write(ref writer, obj);
            writer.Flush();
        }
        catch (Exception cause) when (cause is not SerializationException)
        {
            throw new SerializationException($"{obj.GetType()} can't be written: {cause.Message}", cause);
        }

        if (buffer.Capacity > MaxKeptBufferBytes)
        {
            _buffer = null;
        }

        return writer.IsOverflown
            ? throw new SerializationException($"{obj.GetType()} takes more than {Array.MaxLength} bytes; send it in parts.")
            : buffer.WrittenSpan.ToArray();
    }

    public override object FromBinary(byte[] bytes, string manifest)
    {
        var reader = new WireReader(bytes);
        var message = Read(ref reader, manifest);
        return message is not null && reader.TryEnd()
            ? message
            : throw Malformed(reader.ToException($"Message '{manifest}'"));
    }

    private static void Write(ref WireWriter writer, object message)
    {
        switch (message)
        {
            case RankProtocol.Decide m: writer.WriteDecision(m.Decision); break;
            case RankProtocol.Decided m: writer.WriteDecisionAnswer(m.Answer); break;
            case RankProtocol.DecideTraced m: RankWire.Write(ref writer, m); break;
            case RankProtocol.InstallTable m: RankWire.Write(ref writer, m); break;
            case RankProtocol.QuarantineCleared m: RankWire.Write(ref writer, m); break;
            case EngineProtocol.OpenSession m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.SessionOpened m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.AllocatePages m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.PagesAllocated m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.FreeExtents m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.ExtentsFreed m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.RequestRefused m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.ReportWarmExtents m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.RevokeExtents m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.ShrinkRequested m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.RevokeAnswered m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.CheckExtents m: EngineWire.Write(ref writer, m); break;
            case EngineProtocol.ExtentsChecked m: EngineWire.Write(ref writer, m); break;
            case DataCheckProtocol.WriteStamps m: DataCheckWire.Write(ref writer, m); break;
            case DataCheckProtocol.VerifyStamps m: DataCheckWire.Write(ref writer, m); break;
            case DataCheckProtocol.StampsDone m: DataCheckWire.Write(ref writer, m); break;
            case DataCheckProtocol.StampsFailed m: DataCheckWire.Write(ref writer, m); break;
            default: throw NotListed(message.GetType());
        }
    }

    private static object? Read(ref WireReader reader, string manifest) => manifest switch
    {
        HotPathManifests.Decide => reader.TryReadDecision(out var m) ? new RankProtocol.Decide(m) : null,
        HotPathManifests.Decided => reader.TryReadDecisionAnswer(out var m) ? new RankProtocol.Decided(m) : null,
        HotPathManifests.DecideTraced => RankWire.TryRead(ref reader, out RankProtocol.DecideTraced? m) ? m : null,
        HotPathManifests.InstallTable => RankWire.TryRead(ref reader, out RankProtocol.InstallTable? m) ? m : null,
        HotPathManifests.QuarantineCleared => RankWire.TryRead(ref reader, out RankProtocol.QuarantineCleared? m) ? m : null,
        HotPathManifests.OpenSession => EngineWire.TryRead(ref reader, out EngineProtocol.OpenSession? m) ? m : null,
        HotPathManifests.SessionOpened => EngineWire.TryRead(ref reader, out EngineProtocol.SessionOpened? m) ? m : null,
        HotPathManifests.AllocatePages => EngineWire.TryRead(ref reader, out EngineProtocol.AllocatePages? m) ? m : null,
        HotPathManifests.PagesAllocated => EngineWire.TryRead(ref reader, out EngineProtocol.PagesAllocated? m) ? m : null,
        HotPathManifests.FreeExtents => EngineWire.TryRead(ref reader, out EngineProtocol.FreeExtents? m) ? m : null,
        HotPathManifests.ExtentsFreed => EngineWire.TryRead(ref reader, out EngineProtocol.ExtentsFreed? m) ? m : null,
        HotPathManifests.RequestRefused => EngineWire.TryRead(ref reader, out EngineProtocol.RequestRefused? m) ? m : null,
        HotPathManifests.ReportWarmExtents => EngineWire.TryRead(ref reader, out EngineProtocol.ReportWarmExtents? m) ? m : null,
        HotPathManifests.RevokeExtents => EngineWire.TryRead(ref reader, out EngineProtocol.RevokeExtents? m) ? m : null,
        HotPathManifests.ShrinkRequested => EngineWire.TryRead(ref reader, out EngineProtocol.ShrinkRequested? m) ? m : null,
        HotPathManifests.RevokeAnswered => EngineWire.TryRead(ref reader, out EngineProtocol.RevokeAnswered? m) ? m : null,
        HotPathManifests.CheckExtents => EngineWire.TryRead(ref reader, out EngineProtocol.CheckExtents? m) ? m : null,
        HotPathManifests.ExtentsChecked => EngineWire.TryRead(ref reader, out EngineProtocol.ExtentsChecked? m) ? m : null,
        HotPathManifests.WriteStamps => DataCheckWire.TryRead(ref reader, out DataCheckProtocol.WriteStamps? m) ? m : null,
        HotPathManifests.VerifyStamps => DataCheckWire.TryRead(ref reader, out DataCheckProtocol.VerifyStamps? m) ? m : null,
        HotPathManifests.StampsDone => DataCheckWire.TryRead(ref reader, out DataCheckProtocol.StampsDone? m) ? m : null,
        HotPathManifests.StampsFailed => DataCheckWire.TryRead(ref reader, out DataCheckProtocol.StampsFailed? m) ? m : null,
        _ => throw new SerializationException(
            $"No hot-path message is called '{manifest}'. The sender is of another build; run the same one on all hosts."),
    };

    private static SerializationException NotListed(Type type) =>
        new($"{type} is no hot-path message. Add it to {nameof(WireTypes)} and to hocon/serialization.conf, or keep it within one process.");

    private static SerializationException Malformed(WireFormatException cause) => new(cause.Message, cause);
}
