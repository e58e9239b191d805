using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Serialization;
using Hyperion;

namespace Kvcached.Actors.Serialization;

/// <summary>
/// Writes and reads the rare messages of many shapes (<see cref="WireTypes.Control"/>) with Hyperion: a fingerprint of their layout, a
/// checksum, and Hyperion's bytes.
/// </summary>
/// <remarks>
/// <para>Hyperion is used directly rather than through Akka's serializer for it, which would neither let us check the bytes first nor limit
/// how deep it descends. Types that aren't listed are refused in both directions, a message that arrives is complete
/// (<see cref="RequiredMembers"/>), and reading throws nothing but <see cref="SerializationException"/>.</para>
/// <para>The checksum keeps damaged bytes away from Hyperion. A forger can compute it, and then make Hyperion take memory for a list
/// that never comes; whoever can reach the port must be kept out by the network or by mutual TLS.</para>
/// </remarks>
public sealed class ControlSerializer : SerializerWithStringManifest
{
    /// <summary>Frozen: it names the format to every other host.</summary>
    public const int FrozenIdentifier = 7102;

    private const int HeaderBytes = 2 * sizeof(uint);

    private static readonly FrozenDictionary<string, Type> TypeOf =
        WireTypes.Control.ToFrozenDictionary(pair => pair.Value, pair => pair.Key, StringComparer.Ordinal);

    private readonly FrozenDictionary<Type, Lazy<Hyperion.Serializer>> _hyperion;

    public ControlSerializer(ExtendedActorSystem system)
        : base(system)
    {
        // One for each message, made when the first of them comes or goes: Hyperion compiles code for every type that it is told of, and
        // most hosts meet a few of them in all their life.
        var surrogates = new Lazy<ImmutableArray<Surrogate>>(() => [.. ControlSurrogates.Create(system)]);
        _hyperion = WireTypes.Control.Keys.ToFrozenDictionary(message => message, message => new Lazy<Hyperion.Serializer>(() => new Hyperion.Serializer(new SerializerOptions(
            versionTolerance: false,
            preserveObjectReferences: false,
            surrogates: surrogates.Value,
            serializerFactories: null,
            knownTypes: KnownControlTypes.In(message),
            ignoreISerializable: true,
            packageNameOverrides: null,
            disallowUnsafeTypes: true,
            typeFilter: ControlTypeFilter.Instance))));
    }

    public override int Identifier => FrozenIdentifier;

    public override string Manifest(object o) =>
        WireTypes.Control.TryGetValue(o.GetType(), out var manifest) ? manifest : throw NotListed(o.GetType());

    public override byte[] ToBinary(object obj)
    {
        if (!WireTypes.Control.ContainsKey(obj.GetType()))
        {
            throw NotListed(obj.GetType());
        }

        if (RequiredMembers.FindMissing(obj) is { } missing)
        {
            throw new SerializationException($"{obj.GetType()} can't be sent: its {missing} is null.");
        }

        try
        {
            using var stream = new MemoryStream();
            stream.Write(stackalloc byte[HeaderBytes]);
            _hyperion[obj.GetType()].Value.Serialize(obj, stream);
            var bytes = stream.ToArray();
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, ControlFingerprint.Value);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(sizeof(uint)), ControlFingerprint.Checksum(bytes.AsSpan(HeaderBytes)));
            return bytes;
        }
        catch (Exception cause) when (cause is not SerializationException)
        {
            throw new SerializationException($"{obj.GetType()} can't be written: {cause.Message}", cause);
        }
    }

    public override object FromBinary(byte[] bytes, string manifest)
    {
        if (manifest is null || !TypeOf.TryGetValue(manifest, out var expected))
        {
            throw new SerializationException(
                $"No control message is called '{manifest}'. The sender is of another build; run the same one on all hosts.");
        }

        CheckHeader(bytes, manifest);
        object message;
        try
        {
            using var payload = new ControlPayload(bytes, HeaderBytes);
            message = _hyperion[expected].Value.Deserialize<object>(payload);
            if (!payload.IsAtEnd)
            {
                throw new InvalidDataException("bytes are left over.");
            }
        }
        catch (Exception cause)
        {
            throw new SerializationException($"Control message '{manifest}' of {bytes.Length} bytes can't be read: {cause.Message}", cause);
        }

        if (message?.GetType() != expected)
        {
            throw new SerializationException($"Control message '{manifest}' holds {message?.GetType().ToString() ?? "nothing"} instead of {expected}.");
        }

        return RequiredMembers.FindMissing(message) is { } missing
            ? throw new SerializationException($"Control message '{manifest}' is incomplete: its {missing} is null.")
            : message;
    }

    private static void CheckHeader(byte[]? bytes, string manifest)
    {
        if (bytes is null || bytes.Length < HeaderBytes)
        {
            throw new SerializationException($"Control message '{manifest}' has {bytes?.Length ?? 0} bytes, fewer than its header of {HeaderBytes}.");
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes) != ControlFingerprint.Value)
        {
            throw new SerializationException(
                $"Control message '{manifest}' was laid out by another build; run the same one on all hosts.");
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(sizeof(uint))) != ControlFingerprint.Checksum(bytes.AsSpan(HeaderBytes)))
        {
            throw new SerializationException($"Control message '{manifest}' of {bytes.Length} bytes was damaged: its checksum differs.");
        }
    }

    private static SerializationException NotListed(Type type) =>
        new($"{type} is no control message. Add it to {nameof(WireTypes)} and to hocon/serialization.conf, or keep it within one process.");
}
