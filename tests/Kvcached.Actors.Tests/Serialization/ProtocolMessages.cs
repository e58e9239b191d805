using Kvcached.Actors.Protocols;
using Kvcached.Actors.Serialization;
using Kvcached.Core.Engines;

namespace Kvcached.Actors.Tests.Serialization;

/// <summary>The messages that the protocols declare, found by reflection so that none can be forgotten.</summary>
internal static class ProtocolMessages
{
    /// <summary>Every type nested in a protocol that isn't an interface.</summary>
    public static IReadOnlyList<Type> Declared { get; } =
    [
        .. typeof(RankProtocol).Assembly.GetTypes().Concat(typeof(EngineProtocol).Assembly.GetTypes())
            .Where(type => type.IsNested && !type.IsInterface
                && (type.Namespace == typeof(RankProtocol).Namespace || type.Namespace == typeof(EngineProtocol).Namespace)
                && type.DeclaringType!.Name.EndsWith("Protocol", StringComparison.Ordinal) && type.IsNestedPublic)
            .OrderBy(type => type.FullName, StringComparer.Ordinal),
    ];

    /// <summary>Declared types that are sent by themselves: all that don't merely occur inside another.</summary>
    public static IReadOnlyList<Type> All { get; } =
    [
        .. Declared.Where(type => type.GetInterfaces().Any(face => face.DeclaringType == type.DeclaringType)
            || !Declared.Any(other => other != type && PartsOf(other).Contains(type))),
    ];

    public static IEnumerable<Type> HotPath => All.Where(WireTypes.HotPath.ContainsKey);

    public static IEnumerable<Type> Control => All.Where(WireTypes.Control.ContainsKey);

    /// <summary>All types that occur inside that one, through lists as well, without itself.</summary>
    public static HashSet<Type> PartsOf(Type message)
    {
        var found = new HashSet<Type>();
        var open = new Queue<Type>([message]);
        while (open.TryDequeue(out var type))
        {
            foreach (var property in type.GetProperties().Where(p => p.CanWrite && !p.GetMethod!.IsStatic))
            {
                var part = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
                if (found.Add(part))
                {
                    open.Enqueue(part);
                }

                foreach (var argument in part.GetGenericArguments().Where(found.Add))
                {
                    open.Enqueue(argument);
                }
            }
        }

        return found;
    }
}
