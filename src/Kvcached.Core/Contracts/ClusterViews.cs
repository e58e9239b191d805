using System.Text.Json.Serialization;

namespace Kvcached.Core.Contracts;

/// <summary><c>GET /cluster/members</c>, in the form that Akka Management gives it.</summary>
/// <param name="SelfNode">Address of the host that answers.</param>
/// <param name="Members">Every member, by address.</param>
/// <param name="Unreachable">Members that some host can't reach.</param>
/// <param name="Leader">Address of the leader, or null.</param>
/// <param name="Oldest">Address of the oldest member, or null.</param>
/// <param name="OldestPerRole">Address of the oldest member of each role.</param>
public sealed record ClusterMembersView(
    string SelfNode, IReadOnlyList<ClusterMemberView> Members, IReadOnlyList<UnreachableMemberView> Unreachable,
    string? Leader, string? Oldest, IReadOnlyDictionary<string, string> OldestPerRole);

/// <summary>One member; also <c>GET /cluster/members/{address}</c>.</summary>
/// <param name="Node">Its address.</param>
/// <param name="NodeUid">Its UID, as text since it takes up to 64 bits.</param>
/// <param name="Status"><c>Joining</c>, <c>WeaklyUp</c>, <c>Up</c>, <c>Leaving</c>, <c>Exiting</c>, <c>Down</c> or <c>Removed</c>.</param>
/// <param name="Roles">Its roles.</param>
public sealed record ClusterMemberView(string Node, string NodeUid, string Status, IReadOnlyList<string> Roles);

/// <param name="Node">Address of the member that can't be reached.</param>
/// <param name="ObservedBy">Addresses of the members that found so.</param>
public sealed record UnreachableMemberView(string Node, IReadOnlyList<string> ObservedBy);

/// <summary><c>GET /bootstrap/seed-nodes</c>, in the form that Akka.Management for .NET gives it.</summary>
public sealed record SeedNodesView(
    [property: JsonPropertyName("SelfNode")] NodeAddressView SelfNode,
    [property: JsonPropertyName("Nodes")] IReadOnlyList<SeedNodeView> Nodes);

/// <param name="Node">Address of a member.</param>
/// <param name="NodeUid">Its UID.</param>
/// <param name="Status">Its status as Akka.NET numbers it: 0 Joining, 1 Up, 2 Leaving, 3 Exiting, 4 Down, 5 Removed, 6 WeaklyUp.</param>
/// <param name="Roles">Its roles.</param>
public sealed record SeedNodeView(
    [property: JsonPropertyName("Node")] NodeAddressView Node,
    [property: JsonPropertyName("NodeUid")] int NodeUid,
    [property: JsonPropertyName("Status")] int Status,
    [property: JsonPropertyName("Roles")] IReadOnlyList<string> Roles);

/// <summary>The parts of a member's address.</summary>
public sealed record NodeAddressView(
    [property: JsonPropertyName("Host")] string? Host,
    [property: JsonPropertyName("Port")] int? Port,
    [property: JsonPropertyName("System")] string System,
    [property: JsonPropertyName("Protocol")] string Protocol);
