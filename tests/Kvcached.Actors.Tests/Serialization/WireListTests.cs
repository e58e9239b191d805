using System.Collections.Immutable;
using Akka.Actor;
using Kvcached.Actors.Hosting;
using Kvcached.Actors.Serialization;

namespace Kvcached.Actors.Tests.Serialization;

public sealed class WireListTests(WireFixture fixture) : WireKit(fixture)
{
    [Fact]
    public void Every_declared_message_should_be_listed_once()
    {
        Assert.Equal(
            ProtocolMessages.All.OrderBy(type => type.FullName, StringComparer.Ordinal),
            WireTypes.HotPath.Keys.Concat(WireTypes.Control.Keys).OrderBy(type => type.FullName, StringComparer.Ordinal));
        Assert.NotEmpty(ProtocolMessages.HotPath);
        Assert.NotEmpty(ProtocolMessages.Control);
    }

    [Fact]
    public void Hot_path_messages_should_be_written_by_the_hot_path_serializer() =>
        Assert.All(WireTypes.HotPath.Keys, type => Assert.IsType<HotPathSerializer>(Serialization.FindSerializerForType(type)));

    [Fact]
    public void Control_messages_should_be_written_by_the_control_serializer() =>
        Assert.All(WireTypes.Control.Keys, type => Assert.IsType<ControlSerializer>(Serialization.FindSerializerForType(type)));

    [Fact]
    public void Configuration_should_bind_exactly_the_listed_messages()
    {
        var bindings = KvcachedHocon.Load("serialization").GetConfig("akka.actor.serialization-bindings").AsEnumerable()
            .Where(binding => binding.Key != "System.Object")
            .ToDictionary(binding => Type.GetType(binding.Key, throwOnError: true)!, binding => binding.Value.GetString());

        Assert.Equal(
            WireTypes.HotPath.Keys.Select(type => (type, "kvcached-hot-path"))
                .Concat(WireTypes.Control.Keys.Select(type => (type, "kvcached-control")))
                .OrderBy(pair => pair.type.FullName, StringComparer.Ordinal),
            bindings.Select(pair => (pair.Key, pair.Value)).OrderBy(pair => pair.Key.FullName, StringComparer.Ordinal));
    }

    [Fact]
    public void Listed_parts_should_be_exactly_what_occurs_in_control_messages()
    {
        var occurring = WireTypes.Control.Keys.SelectMany(ProtocolMessages.PartsOf)
            .Where(type => type.Namespace?.StartsWith("System", StringComparison.Ordinal) != true && type != typeof(IActorRef))
            .Except(WireTypes.Control.Keys).Distinct();

        Assert.Equal(
            occurring.OrderBy(type => type.FullName, StringComparer.Ordinal),
            WireTypes.ControlParts.OrderBy(type => type.FullName, StringComparer.Ordinal));
    }

    [Fact]
    public void Listed_list_items_should_be_exactly_those_of_control_messages()
    {
        var items = WireTypes.Control.Keys.SelectMany(ProtocolMessages.PartsOf)
            .Where(type => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ImmutableArray<>))
            .Select(type => type.GetGenericArguments()[0]).Distinct();

        Assert.Equal(
            items.OrderBy(type => type.FullName, StringComparer.Ordinal),
            WireTypes.ControlListItems.OrderBy(type => type.FullName, StringComparer.Ordinal));
    }

    [Fact]
    public void A_message_should_know_by_number_what_it_can_hold_and_nothing_else() =>
        Assert.All(WireTypes.Control.Keys, message => Assert.Equal(
            KnownControlTypes.InOrder.Where(type => type == message || ProtocolMessages.PartsOf(message).Contains(type)).OrderBy(type => type.FullName, StringComparer.Ordinal),
            KnownControlTypes.In(message).OrderBy(type => type.FullName, StringComparer.Ordinal)));

    [Fact]
    public void Identifiers_should_be_the_frozen_ones()
    {
        Assert.Equal(7101, Serialization.FindSerializerForType(typeof(Protocols.RankProtocol.Decide)).Identifier);
        Assert.Equal(7102, Serialization.FindSerializerForType(typeof(Protocols.RankProtocol.RegisterRank)).Identifier);
        Assert.Equal(1, Serialization.FindSerializerForType(typeof(object)).Identifier);
    }
}
