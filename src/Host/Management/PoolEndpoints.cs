using Kvcached.Core.Contracts;

namespace Kvcached.Host.Management;

/// <summary>The domain's pools.</summary>
internal static class PoolEndpoints
{
    public static void MapPoolEndpoints(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/pools", async (DomainReader domain, CancellationToken cancellation) =>
        {
            var answer = await domain.DescribeAsync(cancellation);
            return answer.IsAbsent(out var description)
                ? ProblemMapping.CoordinatorUnreachable(answer.Problem)
                : Results.Json(DomainViews.Pools(description), ManagementJsonContext.Default.PoolsView);
        }).WithSummary("The domain's pools, its coordinator's epoch, and what was decided.").Produces<PoolsView>().ProducesProblems(503);

        routes.MapGet("/pools/{pool}", async (string pool, DomainReader domain, CancellationToken cancellation) =>
        {
            var answer = await domain.DescribeAsync(cancellation);
            if (answer.IsAbsent(out var description))
            {
                return ProblemMapping.CoordinatorUnreachable(answer.Problem);
            }

            var pools = DomainViews.Pools(description).Pools;
            var found = pools.FirstOrDefault(candidate => candidate.Id == pool) ?? pools.FirstOrDefault(candidate => candidate.Name == pool);
            return found is null
                ? ProblemMapping.PoolNotFound(pool)
                : Results.Json(found, ManagementJsonContext.Default.PoolView);
        }).WithSummary("One pool, by its id or name.").Produces<PoolView>().ProducesProblems(404, 503);
    }
}
