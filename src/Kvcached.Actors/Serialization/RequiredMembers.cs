using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Kvcached.Actors.Serialization;

/// <summary>
/// Finds members of a control message that are null though their types say that they never are. Hyperion fills fields without calling
/// constructors, so nothing else would notice.
/// </summary>
internal static class RequiredMembers
{
    private static readonly ConcurrentDictionary<Type, ImmutableArray<Member>> Plans = new();

    /// <summary>Path of the first missing member, for example <c>Spec.Geometry.Ranks[1]</c>; null when all are there.</summary>
    public static string? FindMissing(object message)
    {
        foreach (var member in PlanOf(message.GetType()))
        {
            var value = member.Property.GetValue(message);
            if (value is null)
            {
                if (member.IsRequired)
                {
                    return member.Property.Name;
                }
            }
            else if (member.ItemsOf is { } itemsOf)
            {
                if (FindMissingItem(itemsOf(value)) is { } missing)
                {
                    return member.Property.Name + missing;
                }
            }
            else if (FindMissing(value) is { } missing)
            {
                return $"{member.Property.Name}.{missing}";
            }
        }

        return null;
    }

    private static string? FindMissingItem(Array? items)
    {
        for (var i = 0; i < (items?.Length ?? 0); i++)
        {
            var item = items!.GetValue(i);
            if (item is null)
            {
                return $"[{i}]";
            }

            if (FindMissing(item) is { } missing)
            {
                return $"[{i}].{missing}";
            }
        }

        return null;
    }

    private static ImmutableArray<Member> PlanOf(Type type) => Plans.GetOrAdd(type, MakePlan);

    private static ImmutableArray<Member> MakePlan(Type type)
    {
        if (type.Assembly != typeof(RequiredMembers).Assembly && type.Assembly != typeof(Core.Ids.PoolId).Assembly)
        {
            return [];
        }

        var nullability = new NullabilityInfoContext();
        var members = ImmutableArray.CreateBuilder<Member>();
        foreach (var property in type.GetProperties(BindingFlags.Instance | BindingFlags.Public))
        {
            // Members that are computed from others can't be missing.
            if (!property.CanWrite || property.GetIndexParameters().Length > 0)
            {
                continue;
            }

            var itemType = ItemTypeOf(property.PropertyType);
            if (itemType is not null)
            {
                if (!itemType.IsValueType || !PlanOf(itemType).IsEmpty)
                {
                    members.Add(new Member(property, IsRequired: false, MakeItemsOf(itemType)));
                }
            }
            else if (!property.PropertyType.IsValueType || !PlanOf(property.PropertyType).IsEmpty)
            {
                var isRequired = !property.PropertyType.IsValueType && nullability.Create(property).ReadState != NullabilityState.Nullable;
                members.Add(new Member(property, isRequired, ItemsOf: null));
            }
        }

        return members.ToImmutable();
    }

    private static Type? ItemTypeOf(Type type) =>
        type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ImmutableArray<>) ? type.GetGenericArguments()[0] : null;

    private static Func<object, Array?> MakeItemsOf(Type itemType) =>
        typeof(RequiredMembers).GetMethod(nameof(ItemsOf), BindingFlags.NonPublic | BindingFlags.Static)!
            .MakeGenericMethod(itemType).CreateDelegate<Func<object, Array?>>();

    private static T[]? ItemsOf<T>(object array) => ImmutableCollectionsMarshal.AsArray((ImmutableArray<T>)array);

    private sealed record Member(PropertyInfo Property, bool IsRequired, Func<object, Array?>? ItemsOf);
}
