using System.Collections.Immutable;

namespace Kvcached.Actors.Serialization;

/// <summary>
/// Types that Hyperion takes apart itself, and writes as a number instead of a name: the position in this list. Surrogates aren't among
/// them, because Hyperion doesn't turn a surrogate back that it knows by number; nor are the types that have one, so that no sender can
/// go past it.
/// </summary>
internal static class KnownControlTypes
{
    /// <summary>Messages by manifest, then parts as listed.</summary>
    public static ImmutableArray<Type> InOrder { get; } =
    [
        .. WireTypes.Control.OrderBy(pair => pair.Value, StringComparer.Ordinal).Select(pair => pair.Key),
        .. WireTypes.ControlParts.Where(part => part != typeof(Core.Ids.GpuId)),
    ];
}
