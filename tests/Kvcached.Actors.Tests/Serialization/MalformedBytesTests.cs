using System.Runtime.Serialization;
using CsCheck;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Serialization;
using Kvcached.Core.Contracts;

namespace Kvcached.Actors.Tests.Serialization;

public sealed class MalformedBytesTests(WireFixture fixture) : WireKit(fixture)
{
    [Fact]
    public void Every_truncation_of_every_message_should_be_refused()
    {
        foreach (var type in ProtocolMessages.All)
        {
            var (bytes, serializer, manifest) = Write(Make(type));
            for (var length = 0; length < bytes.Length; length++)
            {
                var cut = bytes[..length];
                Assert.Throws<SerializationException>(() => Read(cut, serializer, manifest));
            }
        }
    }

    [Fact]
    public void A_byte_too_many_should_be_refused()
    {
        foreach (var type in ProtocolMessages.All)
        {
            var (bytes, serializer, manifest) = Write(Make(type));

            Assert.Throws<SerializationException>(() => Read([.. bytes, 0], serializer, manifest));
        }
    }

    [Fact]
    public void Bytes_missing_altogether_should_be_refused()
    {
        foreach (var type in ProtocolMessages.All)
        {
            var serializer = (Akka.Serialization.SerializerWithStringManifest)Serialization.FindSerializerForType(type);
            var manifest = serializer.Manifest(Make(type));

            Assert.Throws<SerializationException>(() => serializer.FromBinary(null!, manifest));
            Assert.Throws<SerializationException>(() => serializer.FromBinary([], null!));
        }
    }

    [Fact]
    public void Damaged_hot_path_messages_should_be_read_as_another_message_or_refused() =>
        Gen.Select(Gen.Int[0, HotPath.Length - 1], Gen.Int, Gen.Select(Gen.Int[0, 10_000], Gen.Byte).Array[1, 4]).Sample(
            (index, seed, damage) =>
            {
                var (bytes, serializer, manifest) = Write(Make(HotPath[index], SampleStyle.Random, seed));
                Apply(damage, bytes, 0);
                return IsReadOrRefused(bytes, serializer, manifest);
            },
            iter: 20_000);

    [Fact]
    public void Damaged_control_messages_should_be_refused() =>
        Gen.Select(Gen.Int[0, Control.Length - 1], Gen.Int[0, 100_000], Gen.Byte[1, byte.MaxValue]).Sample(
            (index, place, flip) =>
            {
                var (bytes, serializer, manifest) = Write(Make(Control[index]));
                bytes[place % bytes.Length] ^= flip;
                Assert.Throws<SerializationException>(() => Read(bytes, serializer, manifest));
            },
            iter: 5_000);

    [Fact]
    public void Control_messages_damaged_behind_a_right_checksum_should_be_read_or_refused() =>
        Gen.Select(Gen.Int[0, Control.Length - 1], Gen.Int[0, 1000], Gen.Select(Gen.Int[0, 10_000], Gen.Byte[0, 250]).Array[1, 3]).Sample(
            (index, seed, damage) =>
            {
                var (bytes, serializer, manifest) = Write(Make(Control[index], SampleStyle.Random, seed));
                var hyperion = bytes[8..];
                Apply(damage, hyperion, 3);
                return IsReadOrRefused(Frame(hyperion), serializer, manifest);
            },
            iter: 500);

    [Fact]
    public void Random_bytes_should_be_read_or_refused() =>
        Gen.Select(Gen.Int[0, ProtocolMessages.All.Count - 1], Gen.Byte.Array[0, 400]).Sample(
            (index, bytes) =>
            {
                var message = Make(ProtocolMessages.All[index]);
                var serializer = Serialization.FindSerializerFor(message);
                var manifest = Akka.Serialization.Serialization.ManifestFor(serializer, message);
                return IsReadOrRefused(bytes, serializer.Identifier, manifest);
            },
            iter: 10_000);

    [Theory]
    [InlineData(HotPathManifests.Decide, 73)]
    [InlineData(HotPathManifests.InstallTable, 40)]
    [InlineData(HotPathManifests.PagesAllocated, 32)]
    [InlineData(HotPathManifests.ReportWarmExtents, 24)]
    [InlineData(HotPathManifests.WriteStamps, 20)]
    public void Count_that_the_bytes_cannot_hold_should_be_refused_without_taking_memory_for_it(string manifest, int offsetOfCount)
    {
        var bytes = new byte[offsetOfCount + sizeof(int) + 100];
        bytes[32] = 1;
        BitConverter.TryWriteBytes(bytes.AsSpan(offsetOfCount), int.MaxValue);

        var before = GC.GetAllocatedBytesForCurrentThread();
        var refusal = Assert.Throws<SerializationException>(() => Read(bytes, HotPathSerializer.FrozenIdentifier, manifest));
        var takenBytes = GC.GetAllocatedBytesForCurrentThread() - before;

        var cause = Assert.IsType<WireFormatException>(refusal.InnerException);
        Assert.Equal(WireFault.BadCount, cause.Fault);
        Assert.InRange(takenBytes, 0, 1 << 20);
    }

    [Fact]
    public void Control_message_nested_without_end_should_be_refused()
    {
        var stopped = 0;
        for (var known = 0; known < KnownControlTypes.In(typeof(DomainProtocol.DomainDescription)).Length; known++)
        {
            // Each level says that its first member is again a value of that type.
            var level = new byte[] { 254, (byte)known, 0 };
            var bytes = Frame([.. Enumerable.Repeat(level, 100_000).SelectMany(part => part)]);

            var refusal = Assert.Throws<SerializationException>(
                () => Read(bytes, ControlSerializer.FrozenIdentifier, ControlManifests.DomainDescription));
            stopped += refusal.Message.Contains("Nested deeper", StringComparison.Ordinal) ? 1 : 0;
        }

        Assert.True(stopped > 0, "No type was read more than one level deep, so the limit wasn't tried.");
    }

    [Fact]
    public void Control_message_of_another_layout_should_be_refused_as_such()
    {
        var (bytes, serializer, manifest) = Write(Make(typeof(RankProtocol.ReportRank)));
        bytes[0] ^= 1;

        var refusal = Assert.Throws<SerializationException>(() => Read(bytes, serializer, manifest));
        Assert.Contains("another build", refusal.Message, StringComparison.Ordinal);
    }

    private static readonly Type[] HotPath = [.. ProtocolMessages.HotPath];

    private static readonly Type[] Control = [.. ProtocolMessages.Control];

    private static void Apply((int Place, byte Value)[] damage, byte[] bytes, int from)
    {
        foreach (var (place, value) in damage.Where(_ => bytes.Length > from))
        {
            bytes[from + (place % (bytes.Length - from))] = value;
        }
    }

    private bool IsReadOrRefused(byte[] bytes, int serializer, string manifest)
    {
        try
        {
            return !DeepDifference.HoldsDefaultList(Read(bytes, serializer, manifest));
        }
        catch (SerializationException)
        {
            return true;
        }
    }
}
