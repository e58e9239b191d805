using System.Buffers;
using System.Runtime.Serialization;
using Akka.Actor;
using Kvcached.Actors.Lanes;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Serialization;

namespace Kvcached.Actors.Tests.Lanes;

/// <summary>Every message of the rank protocol travels by lanes in its direction, and no other.</summary>
public sealed class LaneCodecTests(WireFixture fixture) : WireKit(fixture)
{
    public static TheoryData<Type> Messages => [.. ProtocolMessages.All.Where(type => type.DeclaringType == typeof(RankProtocol) && type != typeof(RankProtocol.RegisterRank))];

    public static TheoryData<Type> Others => [.. ProtocolMessages.All.Where(type => type.DeclaringType != typeof(RankProtocol)), typeof(RankProtocol.RegisterRank)];

    private LaneCodec Codec => new((ExtendedActorSystem)System);

    [Theory]
    [MemberData(nameof(Messages))]
    public void Read_MessageOfTheProtocol_IsAsWrittenInItsDirectionOnly(Type type)
    {
        var message = Make(type);
        var body = new ArrayBufferWriter<byte>();
        Codec.Write(message, body);

        var isCommand = Codec.TryReadCommand(body.WrittenSpan, out var command, out var commandProblem);
        var isReply = Codec.TryReadReply(body.WrittenSpan, out var reply, out var replyProblem);

        Assert.Equal(message is RankProtocol.ICommand, isCommand);
        Assert.Equal(message is RankProtocol.IReply, isReply);
        Assert.Null(DeepDifference.Find(message, isCommand ? command! : reply!));
        Assert.Contains("isn't expected", isCommand ? replyProblem! : commandProblem!, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Others))]
    public void Write_AnyOtherMessage_IsRefused(Type type) =>
        Assert.Throws<SerializationException>(() => Codec.Write(Make(type), new ArrayBufferWriter<byte>()));

    [Theory]
    [MemberData(nameof(Messages))]
    public void Read_CutMessage_IsAProblem(Type type)
    {
        var message = Make(type);
        var body = new ArrayBufferWriter<byte>();
        Codec.Write(message, body);
        for (var length = 0; length < body.WrittenCount; length += Math.Max(1, body.WrittenCount / 40))
        {
            Assert.False(message is RankProtocol.ICommand
                ? Codec.TryReadCommand(body.WrittenSpan[..length], out _, out var problem)
                : Codec.TryReadReply(body.WrittenSpan[..length], out _, out problem));
            Assert.NotEmpty(problem);
        }
    }
}
