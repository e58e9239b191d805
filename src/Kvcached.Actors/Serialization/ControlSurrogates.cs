using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Runtime.Serialization;
using Akka.Actor;
using Hyperion;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Serialization;

/// <summary>
/// What Hyperion writes in place of types that it would take apart wrongly: it can't read the default ImmutableArray, and it would
/// fill a GpuId with any text, past the check of its parser.
/// </summary>
internal static class ControlSurrogates
{
    /// <summary>The types that stand in for others, as they may be named on the wire.</summary>
    public static IEnumerable<Type> Types =>
        [typeof(ActorRefText), typeof(GpuIdText), .. WireTypes.ControlListItems.Select(item => typeof(WireList<>).MakeGenericType(item))];

    public static IEnumerable<Surrogate> Create(ExtendedActorSystem system) =>
    [
        Surrogate.Create<IActorRef, ActorRefText>(
            reference => new ActorRefText(Akka.Serialization.Serialization.SerializedActorPath(reference)),
            text => system.Provider.ResolveActorRef(text.Path ?? throw new SerializationException("An actor reference has no path."))),
        Surrogate.Create<GpuId, GpuIdText>(id => new GpuIdText(id.Value), text => text.ToId()),
        .. WireTypes.ControlListItems.Select(CreateForList),
    ];

    private static Surrogate CreateForList(Type item) =>
        (Surrogate)typeof(ControlSurrogates).GetMethod(nameof(ForList), System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Static)!
            .MakeGenericMethod(item).Invoke(null, null)!;

    private static Surrogate ForList<T>() =>
        Surrogate.Create<ImmutableArray<T>, WireList<T>>(
            array => new WireList<T>(ImmutableCollectionsMarshal.AsArray(array) ?? []),
            list => ImmutableCollectionsMarshal.AsImmutableArray(list.Items ?? []));
}

/// <summary>An immutable array on the wire; the default one goes as an empty one.</summary>
internal sealed class WireList<T>(T[] items)
{
    public T[]? Items { get; } = items;
}

/// <summary>A GPU's id on the wire.</summary>
internal sealed class GpuIdText(string text)
{
    public string? Text { get; } = text;

    public GpuId ToId() =>
        string.IsNullOrEmpty(Text) ? default
        : GpuId.TryParse(Text, out var id) ? id
        : throw new SerializationException($"A GPU id of {Text.Length} characters is none: letters, digits and dashes, at most {GpuId.MaxLength}.");
}

/// <summary>An actor reference on the wire: its path with the address of its system.</summary>
internal sealed class ActorRefText(string path)
{
    public string? Path { get; } = path;
}
