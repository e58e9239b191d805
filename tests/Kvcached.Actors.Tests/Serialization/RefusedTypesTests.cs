using System.Runtime.Serialization;
using System.Text;
using Hyperion;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Serialization;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Serialization;

public sealed class RefusedTypesTests(WireFixture fixture) : WireKit(fixture)
{
    private const int BuiltInJson = 1;

    /// <summary>A message that somebody forgot to list.</summary>
    public sealed record Unlisted(int Number);

    [Fact]
    public void Unlisted_type_should_find_only_the_rejecting_serializer_and_be_refused_on_write()
    {
        var serializer = Serialization.FindSerializerFor(new Unlisted(1));

        Assert.IsType<RejectingSerializer>(serializer);
        var refusal = Assert.Throws<SerializationException>(() => serializer.ToBinary(new Unlisted(1)));
        Assert.Contains(nameof(Unlisted), refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Unlisted_type_should_be_refused_when_handed_to_our_serializers()
    {
        var hot = Serialization.FindSerializerForType(typeof(RankProtocol.Decide));
        var control = Serialization.FindSerializerForType(typeof(RankProtocol.RegisterRank));

        Assert.Throws<SerializationException>(() => hot.ToBinary(new Unlisted(1)));
        Assert.Throws<SerializationException>(() => control.ToBinary(new Unlisted(1)));
        Assert.Throws<SerializationException>(() => control.ToBinary(Make(typeof(RankProtocol.Decide))));
        Assert.Throws<SerializationException>(() => hot.ToBinary(Make(typeof(RankProtocol.RegisterRank))));
    }

    [Fact]
    public void Json_should_be_refused_on_read_whatever_type_it_names()
    {
        var json = Encoding.UTF8.GetBytes("""{"$type":"System.IO.DirectoryInfo, System.Private.CoreLib","OriginalPath":"/"}""");

        Assert.Throws<SerializationException>(() => Read(json, BuiltInJson, string.Empty));
        Assert.Throws<SerializationException>(() => Read(json, BuiltInJson, typeof(Unlisted).AssemblyQualifiedName!));
        Assert.Throws<SerializationException>(() => Read(
            Encoding.UTF8.GetBytes("""{"Number":1}"""), BuiltInJson, typeof(RankProtocol.ReportRank).AssemblyQualifiedName!));
    }

    [Theory]
    [MemberData(nameof(UnlistedValues))]
    public void Unlisted_type_inside_a_control_message_should_be_refused_on_read(object value)
    {
        // A sender whose Hyperion has no filter and the same known types, so that only the filter is in the way.
        var bytes = Frame(Hyperion(value));

        foreach (var manifest in WireTypes.Control.Values)
        {
            var refusal = Assert.Throws<SerializationException>(() => Read(bytes, ControlSerializer.FrozenIdentifier, manifest));
            Assert.Contains("EvilDeserializationException", refusal.ToString(), StringComparison.Ordinal);
        }
    }

    public static TheoryData<object> UnlistedValues() =>
    [
        new Unlisted(1),
        new DirectoryInfo("/"),
        new List<Unlisted> { new(1) },
        new InvalidOperationException("made elsewhere"),
        new Dictionary<string, object> { ["a"] = new Unlisted(1) },
    ];

    [Fact]
    public void Unlisted_type_in_the_place_of_a_member_should_be_stopped_by_the_filter()
    {
        var bytes = Frame(Splice(Hyperion(new Unlisted(1))));

        var refusal = Assert.Throws<SerializationException>(
            () => Read(bytes, ControlSerializer.FrozenIdentifier, ControlManifests.EpochRefused));
        Assert.Contains("UserEvilDeserializationException", refusal.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Primitive_values_and_types_should_not_pass_as_control_messages()
    {
        foreach (var value in new object[] { "just text", 17, typeof(Unlisted) })
        {
            var bytes = Frame(Hyperion(value));

            Assert.Throws<SerializationException>(() => Read(bytes, ControlSerializer.FrozenIdentifier, ControlManifests.ReportRank));
        }
    }

    [Fact]
    public void Hyperions_own_serializer_should_have_no_place() =>
        Assert.ThrowsAny<Exception>(() => Read(Hyperion(new Unlisted(1)), -5, string.Empty));

    [Fact]
    public void Control_message_under_the_name_of_another_should_be_refused()
    {
        var (bytes, serializer, _) = Write(Make(typeof(RankProtocol.ReportRank)));

        Assert.Throws<SerializationException>(() => Read(bytes, serializer, ControlManifests.OpenPool));
    }

    [Fact]
    public void Unknown_manifests_should_be_refused()
    {
        var (hotBytes, hot, _) = Write(Make(typeof(RankProtocol.Decide)));
        var (controlBytes, control, _) = Write(Make(typeof(RankProtocol.ReportRank)));

        foreach (var manifest in new[] { string.Empty, "rd2", "ReportRank2", typeof(RankProtocol.Decide).AssemblyQualifiedName! })
        {
            Assert.Throws<SerializationException>(() => Read(hotBytes, hot, manifest));
            Assert.Throws<SerializationException>(() => Read(controlBytes, control, manifest));
        }
    }

    [Fact]
    public void Gpu_id_that_is_none_should_be_refused_even_past_its_parser()
    {
        var gpu = Hyperion(new GpuIdText("no id: spaces and ümlauts"));
        var bytes = Frame(Splice(gpu));

        var refusal = Assert.Throws<SerializationException>(
            () => Read(bytes, ControlSerializer.FrozenIdentifier, ControlManifests.EpochRefused));
        Assert.Contains("GPU id", refusal.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Message_with_a_null_where_none_may_be_should_be_refused_on_write_with_its_path()
    {
        var withoutSpec = new EngineProtocol.OpenPool(default, default, default, null!);
        var withoutName = new EngineProtocol.OpenPool(default, default, default, (PoolSpec)Make(typeof(PoolSpec)) with { Name = null! });
        var withoutDecision = new RankProtocol.Decide(null!);

        Assert.Contains("its Spec is null", Assert.Throws<SerializationException>(() => Write(withoutSpec)).Message, StringComparison.Ordinal);
        Assert.Contains("its Spec.Name is null", Assert.Throws<SerializationException>(() => Write(withoutName)).Message, StringComparison.Ordinal);
        Assert.Throws<SerializationException>(() => Write(withoutDecision));
    }

    [Fact]
    public void Message_with_a_null_where_none_may_be_should_be_refused_on_read()
    {
        var bytes = Frame(Hyperion(new EngineProtocol.OpenPool(default, default, default, null!)));

        var refusal = Assert.Throws<SerializationException>(() => Read(bytes, ControlSerializer.FrozenIdentifier, ControlManifests.OpenPool));
        Assert.Contains("its Spec is null", refusal.Message, StringComparison.Ordinal);
    }

    /// <summary>An <see cref="RankProtocol.EpochRefused"/> whose GPU is replaced by those bytes.</summary>
    private byte[] Splice(byte[] gpu)
    {
        var marker = GpuId.Parse("MARK");
        var markerBytes = Hyperion(new GpuIdText(marker.Value));
        var whole = Write(new RankProtocol.EpochRefused(marker, default, default, default)).Bytes[8..];
        var at = whole.AsSpan().IndexOf(markerBytes);
        Assert.True(at >= 0, "The marker isn't written as expected.");
        return [.. whole[..at], .. gpu, .. whole[(at + markerBytes.Length)..]];
    }

    private byte[] Hyperion(object value)
    {
        var unfiltered = new global::Hyperion.Serializer(new SerializerOptions(
            versionTolerance: false, preserveObjectReferences: false,
            surrogates: ControlSurrogates.Create((Akka.Actor.ExtendedActorSystem)System), serializerFactories: null,
            knownTypes: WireTypes.Control.ContainsKey(value.GetType()) ? KnownControlTypes.In(value.GetType()) : [], ignoreISerializable: true, packageNameOverrides: null, disallowUnsafeTypes: false,
            typeFilter: DisabledTypeFilter.Instance));
        using var stream = new MemoryStream();
        unfiltered.Serialize(value, stream);
        return stream.ToArray();
    }
}
