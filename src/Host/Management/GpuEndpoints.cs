using Kvcached.Actors.Protocols;
using Kvcached.Core.Contracts;

namespace Kvcached.Host.Management;

/// <summary>The domain's GPUs, and draining them.</summary>
internal static class GpuEndpoints
{
    public static void MapGpuEndpoints(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/gpus", async (DomainReader domain, LocalGpuReader local, CancellationToken cancellation) =>
        {
            var answer = await domain.DescribeAsync(cancellation);
            return answer.IsAbsent(out var description)
                ? ProblemMapping.CoordinatorUnreachable(answer.Problem)
                : Results.Json(
                    [.. description.Gpus.Select(gpu => DomainViews.Gpu(gpu, gpu.Gpu == local.Gpu ? local.Read() : null))],
                    ManagementJsonContext.Default.GpuViewArray);
        }).WithSummary("The domain's GPUs.").Produces<GpuView[]>().ProducesProblems(503);
        routes.MapPost("/gpus/{gpu}/drain", (string gpu, CoordinatorDesk desk, CancellationToken cancellation) => DrainAsync(gpu, true, desk, cancellation))
            .WithSummary("Has a GPU drained: nothing new is lent there, what is unused is given back. Asked again, it tells how far it is.")
            .Produces<DrainView>().ProducesProblems(401, 403, 404, 503);
        routes.MapDelete("/gpus/{gpu}/drain", (string gpu, CoordinatorDesk desk, CancellationToken cancellation) => DrainAsync(gpu, false, desk, cancellation))
            .WithSummary("Ends the draining of a GPU: it lends again.")
            .Produces<DrainView>().ProducesProblems(401, 403, 404, 503);
    }

    private static async Task<IResult> DrainAsync(string gpu, bool isDraining, CoordinatorDesk desk, CancellationToken cancellation)
    {
        var (reply, problem) = await desk.AskAsync(new OperatorProtocol.DrainGpu(gpu, isDraining), cancellation);
        return reply switch
        {
            OperatorProtocol.GpuDrained drained => Results.Json(DomainViews.Drain(drained), ManagementJsonContext.Default.DrainView),
            OperatorProtocol.OperatorRefused refused => ProblemMapping.Refused(refused.Refusal),
            _ => ProblemMapping.CoordinatorUnreachable(problem),
        };
    }
}
