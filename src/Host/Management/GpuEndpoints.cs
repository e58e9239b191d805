using Kvcached.Core.Contracts;

namespace Kvcached.Host.Management;

/// <summary>The domain's GPUs.</summary>
internal static class GpuEndpoints
{
    public static void MapGpuEndpoints(this IEndpointRouteBuilder routes) =>
        routes.MapGet("/gpus", async (DomainReader domain, LocalGpuReader local, CancellationToken cancellation) =>
        {
            var answer = await domain.DescribeAsync(cancellation);
            return answer.IsAbsent(out var description)
                ? ProblemMapping.CoordinatorUnreachable(answer.Problem)
                : Results.Json(
                    [.. description.Gpus.Select(gpu => DomainViews.Gpu(gpu, gpu.Gpu == local.Gpu ? local.Read() : null))],
                    ManagementJsonContext.Default.GpuViewArray);
        }).WithSummary("The domain's GPUs.").Produces<GpuView[]>().ProducesProblems(503);
}
