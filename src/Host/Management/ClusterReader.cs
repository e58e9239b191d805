using System.Globalization;
using Akka.Actor;
using Akka.Cluster;
using Kvcached.Actors.Hosting;
using Kvcached.Core.Contracts;

namespace Kvcached.Host.Management;

/// <summary>Reads the cluster's membership as this host knows it.</summary>
internal sealed class ClusterReader(ActorSystem system, string domain)
{
    private readonly Cluster _cluster = Cluster.Get(system);
    private readonly string _role = KvcachedNames.RoleOf(domain);

    public MemberStatus SelfStatus => _cluster.SelfMember.Status;

    /// <summary>Hosts of the domain that are up and can be reached, this one included.</summary>
    public int CountReachableHosts()
    {
        var state = _cluster.State;
        return state.Members.Count(member =>
            member.Status == MemberStatus.Up && member.HasRole(_role) && !state.Unreachable.Contains(member));
    }

    public ClusterMembersView ReadMembers()
    {
        var state = _cluster.State;
        var observers = ReachabilityObservers.Read(_cluster);
        var lasting = state.Members.Where(member => member.Status is MemberStatus.Up or MemberStatus.Leaving).ToList();
        return new ClusterMembersView(
            _cluster.SelfAddress.ToString(),
            [.. state.Members.Select(Describe)],
            [.. state.Unreachable.Select(member => new UnreachableMemberView(
                member.Address.ToString(), observers.GetValueOrDefault(member.UniqueAddress) ?? []))],
            state.Leader?.ToString(),
            Oldest(lasting),
            lasting.SelectMany(member => member.Roles).Distinct().Order(StringComparer.Ordinal)
                .ToDictionary(role => role, role => Oldest(lasting.Where(member => member.HasRole(role)))!));
    }

    /// <summary>One member by its address, with or without the protocol in front; null when there is none.</summary>
    public ClusterMemberView? FindMember(string address) =>
        _cluster.State.Members
            .Where(member => member.Address.ToString() == address || member.Address.ToString().EndsWith("://" + address, StringComparison.Ordinal))
            .Select(Describe)
            .FirstOrDefault();

    public SeedNodesView ReadSeedNodes() => new(
        Describe(_cluster.SelfAddress),
        [.. _cluster.State.Members.Select(member => new SeedNodeView(
            Describe(member.Address), member.UniqueAddress.Uid, (int)member.Status, [.. member.Roles.Order(StringComparer.Ordinal)]))]);

    private static ClusterMemberView Describe(Member member) => new(
        member.Address.ToString(), member.UniqueAddress.Uid.ToString(CultureInfo.InvariantCulture), member.Status.ToString(),
        [.. member.Roles.Order(StringComparer.Ordinal)]);

    private static NodeAddressView Describe(Address address) => new(address.Host, address.Port, address.System, address.Protocol);

    private static string? Oldest(IEnumerable<Member> members) =>
        members.Aggregate((Member?)null, (oldest, member) => oldest is null || member.IsOlderThan(oldest) ? member : oldest)?.Address.ToString();
}
