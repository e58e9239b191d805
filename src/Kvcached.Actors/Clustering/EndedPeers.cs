using System.Collections.Concurrent;
using Akka.Actor;

namespace Kvcached.Actors.Clustering;

/// <summary>
/// Cluster addresses whose process is known to have ended: the kernel said so, which no load or lost message can fake. One list per process, since what it
/// says is true for all actor systems in it.
/// </summary>
public static class EndedPeers
{
    private static readonly ConcurrentDictionary<string, byte> Addresses = new(StringComparer.Ordinal);

    /// <summary>The process at that address has ended.</summary>
    public static void Add(Address address)
    {
        ArgumentNullException.ThrowIfNull(address);
        Addresses[address.ToString()] = 0;
    }

    /// <summary>Another process may have that address from now on.</summary>
    public static void Remove(Address address)
    {
        ArgumentNullException.ThrowIfNull(address);
        Addresses.TryRemove(address.ToString(), out _);
    }

    internal static bool Contains(string? address) => address is not null && Addresses.ContainsKey(address);
}
