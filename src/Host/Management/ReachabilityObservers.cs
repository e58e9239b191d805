using System.Collections;
using System.Reflection;
using Akka.Cluster;

namespace Kvcached.Host.Management;

/// <summary>
/// Who finds a member unreachable. Akka.NET gossips it but keeps it internal, while Akka Management shows it, so that it is read past
/// the access check; should a later Akka name it otherwise, nobody is listed and everything else goes on.
/// </summary>
internal static class ReachabilityObservers
{
    private const BindingFlags AnyInstance = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;

    /// <summary>The observers of each unreachable member, as addresses.</summary>
    public static IReadOnlyDictionary<UniqueAddress, IReadOnlyList<string>> Read(Cluster cluster)
    {
        var result = new Dictionary<UniqueAddress, IReadOnlyList<string>>();
        var grouped = Get(Get(Get(cluster, "ReadView"), "Reachability"), "ObserversGroupedByUnreachable");
        foreach (var pair in grouped as IEnumerable ?? Array.Empty<object>())
        {
            if (Get(pair, "Key") is UniqueAddress subject && Get(pair, "Value") is IEnumerable<UniqueAddress> observers)
            {
                result[subject] = [.. observers.Select(observer => observer.Address.ToString()).Order(StringComparer.Ordinal)];
            }
        }

        return result;
    }

    private static object? Get(object? owner, string property) => owner?.GetType().GetProperty(property, AnyInstance)?.GetValue(owner);
}
