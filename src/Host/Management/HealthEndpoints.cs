using Akka.Cluster;
using Kvcached.Actors.Hosting;
using Kvcached.Core.Contracts;

namespace Kvcached.Host.Management;

/// <summary>Whether the process works, and whether it serves.</summary>
internal static class HealthEndpoints
{
    private const string Alive = "alive";
    private const string Ready = "ready";
    private const string NotReady = "notReady";

    public static void MapHealthEndpoints(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/alive", () => Results.Json(new HealthView(Alive, []), ManagementJsonContext.Default.HealthView))
            .WithSummary("Whether the process works.").Produces<HealthView>();
        routes.MapGet("/ready", GetReadyAsync)
            .WithSummary("Whether the host serves, and if not, why.").Produces<HealthView>().Produces<HealthView>(StatusCodes.Status503ServiceUnavailable);
    }

    private static async Task<IResult> GetReadyAsync(
        ClusterReader cluster, DomainReader domain, RankHostOptions options, CancellationToken cancellation)
    {
        var reasons = new List<string>();
        var status = cluster.SelfStatus;
        if (status != MemberStatus.Up)
        {
            reasons.Add($"this host is {status} in the cluster, not Up");
        }

        var hostCount = cluster.CountReachableHosts();
        if (hostCount < options.ExpectedHosts)
        {
            reasons.Add($"{hostCount} of {options.ExpectedHosts} hosts of domain '{options.Domain}' are up and can be reached");
        }

        var answer = await domain.DescribeAsync(cancellation);
        if (answer.Description is null)
        {
            reasons.Add(answer.Problem);
        }
        else if (answer.Description.IsRecovering)
        {
            reasons.Add("the coordinator is still collecting what the ranks hold");
        }

        var isReady = reasons.Count == 0;
        return Results.Json(
            new HealthView(isReady ? Ready : NotReady, reasons), ManagementJsonContext.Default.HealthView,
            statusCode: isReady ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
    }
}
