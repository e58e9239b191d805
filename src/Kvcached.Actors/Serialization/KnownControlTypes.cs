using System.Collections.Immutable;
using System.Reflection;

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
    /// <summary>A message's type, then what of the listed parts it can hold, in the order of the list.</summary>
    /// <remarks>Hyperion compiles code for every type that it is told of: with all of them, a host's start would take a third longer.</remarks>
    public static ImmutableArray<Type> In(Type message)
    {
        var found = new HashSet<Type> { message };
        var open = new Stack<Type>([message]);
        while (open.TryPop(out var type))
        {
            foreach (var held in FieldTypesOf(type).SelectMany(Unwrap))
            {
                foreach (var known in InOrder)
                {
                    if (held.IsAssignableFrom(known) && found.Add(known))
                    {
                        open.Push(known);
                    }
                }
            }
        }

        return [message, .. InOrder.Where(type => type != message && found.Contains(type))];
    }

    private static IEnumerable<Type> FieldTypesOf(Type type)
    {
        for (var declaring = type; declaring is not null; declaring = declaring.BaseType)
        {
            foreach (var field in declaring.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            {
                yield return field.FieldType;
            }
        }
    }

    /// <summary>A type, what an array has as items, and what a generic type is made of.</summary>
    private static IEnumerable<Type> Unwrap(Type type) =>
        type.IsArray ? Unwrap(type.GetElementType()!)
        : type.IsGenericType ? [type, .. type.GetGenericArguments().SelectMany(Unwrap)]
        : [type];
}
