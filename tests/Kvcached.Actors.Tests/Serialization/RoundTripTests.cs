using CsCheck;
using Kvcached.Actors.Serialization;

namespace Kvcached.Actors.Tests.Serialization;

public sealed class RoundTripTests(WireFixture fixture) : WireKit(fixture)
{
    public static TheoryData<Type, SampleStyle> MessagesInAllStyles()
    {
        var data = new TheoryData<Type, SampleStyle>();
        foreach (var message in ProtocolMessages.All)
        {
            foreach (var style in Enum.GetValues<SampleStyle>())
            {
                data.Add(message, style);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(MessagesInAllStyles))]
    public void Message_should_arrive_as_it_was_sent(Type type, SampleStyle style)
    {
        var sent = Make(type, style);

        var (bytes, serializer, manifest) = Write(sent);
        var received = Read(bytes, serializer, manifest);

        Assert.Null(DeepDifference.Find(sent, received));
        Assert.False(DeepDifference.HoldsDefaultList(received));
    }

    [Fact]
    public void Random_messages_should_arrive_as_they_were_sent() =>
        Gen.Select(Gen.Int[0, ProtocolMessages.All.Count - 1], Gen.Int).Sample(
            (index, seed) =>
            {
                var sent = Make(ProtocolMessages.All[index], SampleStyle.Random, seed);
                var (bytes, serializer, manifest) = Write(sent);
                return DeepDifference.Find(sent, Read(bytes, serializer, manifest)) is null;
            },
            iter: 3000);

    [Fact]
    public void Messages_written_by_several_threads_should_not_mix() =>
        Gen.Int.Sample(
            seed => Parallel.ForEach(ProtocolMessages.All, type =>
            {
                var sent = Make(type, SampleStyle.Random, seed);
                var (bytes, serializer, manifest) = Write(sent);
                Assert.Null(DeepDifference.Find(sent, Read(bytes, serializer, manifest)));
            }),
            iter: 20);

    [Fact]
    public void Every_defined_refusal_reason_and_enumeration_value_should_pass()
    {
        foreach (var reason in Enum.GetValues<Core.Decisions.RefusalReason>())
        {
            var sent = new Core.Engines.EngineProtocol.RequestRefused(default, default, new Core.Decisions.Refusal(reason, "x"));
            var (bytes, serializer, manifest) = Write(sent);
            Assert.Equal(sent, Read(bytes, serializer, manifest));
        }

        foreach (var kind in Enum.GetValues<Core.Decisions.DecisionKind>())
        {
            var sent = new Protocols.RankProtocol.Decide(
                new Core.Decisions.Decision(default, default, 1, kind, [], 0, default, default, default, default));
            var (bytes, serializer, manifest) = Write(sent);
            Assert.Null(DeepDifference.Find(sent, Read(bytes, serializer, manifest)));
        }

        foreach (var outcome in Enum.GetValues<Core.Decisions.DecisionOutcome>())
        {
            var sent = new Protocols.RankProtocol.Decided(
                new Core.Decisions.DecisionAnswer(default, default, 1, 1, default, default, outcome, default, null, [], 0));
            var (bytes, serializer, manifest) = Write(sent);
            Assert.Null(DeepDifference.Find(sent, Read(bytes, serializer, manifest)));
        }
    }

    [Fact]
    public void Manifests_should_be_unique()
    {
        Assert.Distinct(WireTypes.HotPath.Values);
        Assert.Distinct(WireTypes.Control.Values);
    }
}
