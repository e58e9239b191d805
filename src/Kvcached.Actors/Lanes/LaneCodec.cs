using System.Buffers;
using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.Serialization;
using System.Text;
using Akka.Actor;
using Akka.Serialization;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Serialization;

namespace Kvcached.Actors.Lanes;

/// <summary>
/// Commands and replies of the rank protocol as bodies of lane frames: one byte for the length of the manifest, the manifest, and the bytes that Akka.Remote
/// would carry, by the same serializers. Nothing else is written or read. Thread-safe.
/// </summary>
internal sealed class LaneCodec
{
    private static readonly FrozenSet<string> CommandNames = NamesOf(typeof(RankProtocol.ICommand));
    private static readonly FrozenSet<string> ReplyNames = NamesOf(typeof(RankProtocol.IReply));

    private readonly HotPathSerializer _hotPath;
    private readonly ControlSerializer _control;

    public LaneCodec(ExtendedActorSystem system)
    {
        _hotPath = new HotPathSerializer(system);
        _control = system.Serialization.FindSerializerForType(typeof(RankProtocol.ReportRank)) as ControlSerializer ?? new ControlSerializer(system);
    }

    /// <summary>Writes a message.</summary>
    /// <exception cref="SerializationException">It is no message of the rank protocol, or isn't complete.</exception>
    public void Write(object message, IBufferWriter<byte> body)
    {
        SerializerWithStringManifest serializer = WireTypes.HotPath.ContainsKey(message.GetType()) ? _hotPath : _control;
        var manifest = serializer.Manifest(message);
        if (!CommandNames.Contains(manifest) && !ReplyNames.Contains(manifest))
        {
            throw new SerializationException($"{message.GetType()} doesn't travel by lanes, but between actors.");
        }

        var bytes = serializer.ToBinary(message);
        var head = body.GetSpan(1 + manifest.Length);
        head[0] = (byte)manifest.Length;
        Encoding.ASCII.GetBytes(manifest, head[1..]);
        body.Advance(1 + manifest.Length);
        body.Write(bytes);
    }

    /// <summary>Reads what a coordinator may say to a rank.</summary>
    public bool TryReadCommand(ReadOnlySpan<byte> body, [NotNullWhen(true)] out RankProtocol.ICommand? command, [NotNullWhen(false)] out string? problem) =>
        TryRead(body, CommandNames, out command, out problem);

    /// <summary>Reads what a rank may say to its coordinator.</summary>
    public bool TryReadReply(ReadOnlySpan<byte> body, [NotNullWhen(true)] out RankProtocol.IReply? reply, [NotNullWhen(false)] out string? problem) =>
        TryRead(body, ReplyNames, out reply, out problem);

    private bool TryRead<T>(ReadOnlySpan<byte> body, FrozenSet<string> names, [NotNullWhen(true)] out T? message, [NotNullWhen(false)] out string? problem)
        where T : class
    {
        message = null;
        problem = "A frame names no message.";
        if (body.IsEmpty || body[0] == 0 || body[0] >= body.Length)
        {
            return false;
        }

        var manifest = Encoding.ASCII.GetString(body.Slice(1, body[0]));
        if (!names.Contains(manifest))
        {
            problem = $"A message '{manifest}' isn't expected here.";
            return false;
        }

        try
        {
            var bytes = body[(1 + body[0])..].ToArray();
            message = (T)(HotPathNames.Contains(manifest) ? _hotPath.FromBinary(bytes, manifest) : _control.FromBinary(bytes, manifest));
            problem = null;
            return true;
        }
        catch (SerializationException exception)
        {
            problem = exception.Message;
            return false;
        }
    }

    private static FrozenSet<string> HotPathNames { get; } = WireTypes.HotPath.Values.ToFrozenSet(StringComparer.Ordinal);

    // A registration names its mapper, whom only Akka.Remote can name.
    private static FrozenSet<string> NamesOf(Type direction) => WireTypes.HotPath.Concat(WireTypes.Control)
        .Where(pair => direction.IsAssignableFrom(pair.Key) && pair.Key != typeof(RankProtocol.RegisterRank))
        .Select(pair => pair.Value)
        .ToFrozenSet(StringComparer.Ordinal);
}
