using Akka.Actor;
using Kvcached.Actors.Serialization;

namespace Kvcached.Actors.Tests.Serialization;

/// <summary>What the tests do with the serializers of an actor system.</summary>
[Collection(WireGroup.Name)]
public abstract class WireKit(WireFixture fixture)
{
    protected ActorSystem System => fixture.System;

    protected Akka.Serialization.Serialization Serialization => System.Serialization;

    /// <summary>Writes a message as Akka.Remote does.</summary>
    protected (byte[] Bytes, int Serializer, string Manifest) Write(object message)
    {
        var serializer = Serialization.FindSerializerFor(message);
        return (serializer.ToBinary(message), serializer.Identifier, Akka.Serialization.Serialization.ManifestFor(serializer, message));
    }

    /// <summary>Reads a message as Akka.Remote does.</summary>
    protected object Read(byte[] bytes, int serializer, string manifest) => Serialization.Deserialize(bytes, serializer, manifest);

    /// <summary>One message of that type with a reference to an actor of this system.</summary>
    internal object Make(Type type, SampleStyle style = SampleStyle.Random, int seed = 1) => new SampleMaker(style, seed, fixture.Reference).Make(type);

    /// <summary>Puts the header of control messages before Hyperion's bytes, as only a sender of this build does.</summary>
    internal static byte[] Frame(ReadOnlySpan<byte> hyperion)
    {
        var bytes = new byte[8 + hyperion.Length];
        BitConverter.TryWriteBytes(bytes, ControlFingerprint.Value);
        BitConverter.TryWriteBytes(bytes.AsSpan(4), ControlFingerprint.Checksum(hyperion));
        hyperion.CopyTo(bytes.AsSpan(8));
        return bytes;
    }
}
