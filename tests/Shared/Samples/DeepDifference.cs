using System.Collections;

namespace Kvcached.Testing.Samples;

/// <summary>Compares two messages member by member; record equality doesn't look into lists.</summary>
internal static class DeepDifference
{
    /// <summary>Where the two differ first, or null. A default list equals an empty one.</summary>
    public static string? Find(object? expected, object? actual, string path = "message")
    {
        if (expected is null || actual is null)
        {
            return expected is null && actual is null ? null : $"{path}: {expected ?? "null"} became {actual ?? "null"}";
        }

        if (expected.GetType() != actual.GetType() && !IsReference(expected))
        {
            return $"{path}: {expected.GetType()} became {actual.GetType()}";
        }

        var type = expected.GetType();
        if (expected is string || IsReference(expected) || type.IsPrimitive || type.IsEnum || type.Namespace == "System")
        {
            return expected.Equals(actual) ? null : $"{path}: {expected} became {actual}";
        }

        if (expected is IEnumerable)
        {
            return FindInLists(Items(expected), Items(actual), path);
        }

        foreach (var property in type.GetProperties().Where(p => p.CanWrite && !p.GetMethod!.IsStatic))
        {
            if (Find(property.GetValue(expected), property.GetValue(actual), $"{path}.{property.Name}") is { } difference)
            {
                return difference;
            }
        }

        // Types with private state, such as GPU ids, have no members to compare but are equal by value.
        return type.IsValueType && !expected.Equals(actual) ? $"{path}: {expected} became {actual}" : null;
    }

    /// <summary>True when the list that came back is the default array, which no message may carry after a journey.</summary>
    public static bool HoldsDefaultList(object? value) =>
        value is not null and not string && !IsReference(value) && value.GetType() is { IsPrimitive: false, IsEnum: false } type
        && (value is IEnumerable
            ? IsDefault(value) || Items(value).Any(HoldsDefaultList)
            : type.Namespace != "System" && type.GetProperties().Where(p => p.CanWrite && !p.GetMethod!.IsStatic).Any(p => HoldsDefaultList(p.GetValue(value))));

    // References to actors are compared as what they are, not by their insides.
    private static bool IsReference(object value) => value.GetType().Namespace?.StartsWith("Akka.", StringComparison.Ordinal) is true;

    private static string? FindInLists(List<object?> expected, List<object?> actual, string path)
    {
        if (expected.Count != actual.Count)
        {
            return $"{path}: {expected.Count} items became {actual.Count}";
        }

        for (var i = 0; i < expected.Count; i++)
        {
            if (Find(expected[i], actual[i], $"{path}[{i}]") is { } difference)
            {
                return difference;
            }
        }

        return null;
    }

    private static List<object?> Items(object list) => IsDefault(list) ? [] : [.. ((IEnumerable)list).Cast<object?>()];

    private static bool IsDefault(object list) => list.GetType().GetProperty("IsDefault")?.GetValue(list) is true;
}
