using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Configuration;
using Akka.Serialization;

namespace Kvcached.Actors.Serialization;

/// <summary>
/// Stands in the place of Akka's JSON serializer, which makes objects of any type that a sender names. Refuses everything in both
/// directions.
/// </summary>
public sealed class RejectingSerializer : Serializer
{
    /// <summary>The identifier of Akka's JSON serializer: what is sent to it ends here.</summary>
    public const int JsonIdentifier = 1;

    public RejectingSerializer(ExtendedActorSystem system)
        : base(system)
    {
    }

    /// <summary>The form that Akka looks for, because the JSON serializer has a section of settings.</summary>
    public RejectingSerializer(ExtendedActorSystem system, Config settings)
        : this(system)
    {
    }

    public override int Identifier => JsonIdentifier;

    public override bool IncludeManifest => false;

    public override byte[] ToBinary(object obj) => throw new SerializationException(
        $"{obj.GetType()} may not leave this process: it has no serializer. Add it to {nameof(WireTypes)} and to hocon/serialization.conf, "
        + "or don't send it to other hosts.");

    public override object FromBinary(byte[] bytes, Type type) => throw new SerializationException(
        $"A message of {bytes?.Length ?? 0} bytes came as JSON, which no host of this system sends. Look at who sent it.");
}
