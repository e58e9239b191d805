using Kvcached.Core.Contracts;

namespace Kvcached.Host.Management;

/// <summary>Akka Management's cluster routes, read only.</summary>
internal static class ClusterEndpoints
{
    public static void MapClusterEndpoints(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/cluster/members", (ClusterReader cluster) =>
            Results.Json(cluster.ReadMembers(), ManagementJsonContext.Default.ClusterMembersView));

        // An address has slashes of its own: akka.tcp://kvcached@127.0.0.1:8550.
        routes.MapGet("/cluster/members/{**address}", (string address, ClusterReader cluster) =>
            cluster.FindMember(address) is { } member
                ? Results.Json(member, ManagementJsonContext.Default.ClusterMemberView)
                : ProblemMapping.MemberNotFound(address));

        routes.MapGet("/bootstrap/seed-nodes", (ClusterReader cluster) =>
            Results.Json(cluster.ReadSeedNodes(), ManagementJsonContext.Default.SeedNodesView));
    }
}
