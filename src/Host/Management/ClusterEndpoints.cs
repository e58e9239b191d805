using Kvcached.Core.Contracts;

namespace Kvcached.Host.Management;

/// <summary>Akka Management's cluster routes.</summary>
internal static class ClusterEndpoints
{
    // An address has slashes of its own: akka.tcp://kvcached@127.0.0.1:8550.
    private const string MemberPattern = "/cluster/members/{**address}";

    public static void MapClusterEndpoints(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/cluster/members", (ClusterReader cluster) =>
                Results.Json(cluster.ReadMembers(), ManagementJsonContext.Default.ClusterMembersView))
            .WithSummary("The cluster's members.").Produces<ClusterMembersView>();
        routes.MapGet(MemberPattern, (string address, ClusterReader cluster) =>
                cluster.FindMember(address) is { } member
                    ? Results.Json(member, ManagementJsonContext.Default.ClusterMemberView)
                    : ProblemMapping.MemberNotFound(address))
            .WithSummary("One member, by its address with or without the protocol.").Produces<ClusterMemberView>().ProducesProblems(404);
        routes.MapGet("/bootstrap/seed-nodes", (ClusterReader cluster) =>
                Results.Json(cluster.ReadSeedNodes(), ManagementJsonContext.Default.SeedNodesView))
            .WithSummary("Members that a host may join.").Produces<SeedNodesView>();

        routes.MapPost("/cluster/members", (HttpRequest request, ClusterChanges changes, CancellationToken cancellation) =>
                WithFormAsync(request, form => changes.Join(form["address"]), cancellation))
            .WithSummary("Has this host join the cluster of the host with that address.").Changes();
        routes.MapPut(MemberPattern, (string address, HttpRequest request, ClusterChanges changes, CancellationToken cancellation) =>
                WithFormAsync(request, form => changes.Change(address, form["operation"]), cancellation))
            .WithSummary("Has a member leave, or declares it down: operation = Leave or Down.").Changes();
        routes.MapDelete(MemberPattern, (string address, ClusterChanges changes) => changes.Leave(address))
            .WithSummary("Has a member leave.").Changes();
    }

    private static void Changes(this RouteHandlerBuilder route) => route.Produces<ClusterMessageView>().ProducesProblems(400, 401, 403, 404, 415);

    private static async Task<IResult> WithFormAsync(HttpRequest request, Func<IFormCollection, IResult> change, CancellationToken cancellation)
    {
        if (!request.HasFormContentType)
        {
            return ProblemMapping.WrongContentType("a form: application/x-www-form-urlencoded or multipart/form-data");
        }

        try
        {
            return change(await request.ReadFormAsync(cancellation));
        }
        catch (InvalidDataException exception)
        {
            return ProblemMapping.BadRequest($"The form can't be read: {exception.Message}");
        }
    }
}
