using Kvcached.Actors.Protocols;
using Kvcached.Core.Contracts;
using Kvcached.Core.Sharing;

namespace Kvcached.Host.Management;

/// <summary>Changing what pools may have.</summary>
internal static class LimitEndpoints
{
    public static void MapLimitEndpoints(this IEndpointRouteBuilder routes)
    {
        routes.MapPut("/pools/{pool}/limit", ChangeAsync)
            .WithSummary("Changes a pool's limit, floor or weight, for it and for later pools of its name.")
            .Accepts<LimitChangeView>("application/json")
            .Produces<LimitOutcomeView>().Produces<LimitOutcomeView>(StatusCodes.Status202Accepted)
            .ProducesProblems(400, 401, 403, 404, 409, 415, 503);
        routes.MapPost("/pools/{pool}/trim", TrimAsync)
            .WithSummary("Asks a pool's engine for what it has mapped and doesn't use, beyond its floor.")
            .Accepts<TrimChangeView>("application/json")
            .Produces<TrimOutcomeView>()
            .ProducesProblems(400, 401, 403, 404, 415, 503);
    }

    private static async Task<IResult> ChangeAsync(string pool, HttpRequest request, CoordinatorDesk desk, CancellationToken cancellation)
    {
        var (body, unreadable) = await JsonBody.ReadAsync(request, ChangeJsonContext.Default.LimitChangeView, whenEmpty: null, cancellation);
        if (body is null)
        {
            return unreadable!;
        }

        var command = new OperatorProtocol.ChangePolicy(pool, new PolicyChange(body.Limit, body.Floor, body.Weight, body.Revision))
        {
            Gpus = [.. body.Gpus ?? []],
        };
        var (reply, problem) = await desk.AskAsync(command, cancellation);
        return reply switch
        {
            OperatorProtocol.PolicyChanged { Outcome: PolicyOutcome.Stale or PolicyOutcome.Conflict } taken => ProblemMapping.RevisionTaken(taken),
            OperatorProtocol.PolicyChanged changed => Results.Json(
                DomainViews.Outcome(changed), ManagementJsonContext.Default.LimitOutcomeView,
                statusCode: changed.Outcome == PolicyOutcome.Deferred ? StatusCodes.Status202Accepted : StatusCodes.Status200OK),
            OperatorProtocol.OperatorRefused refused => ProblemMapping.Refused(refused.Refusal),
            _ => ProblemMapping.CoordinatorUnreachable(problem),
        };
    }

    private static async Task<IResult> TrimAsync(string pool, HttpRequest request, CoordinatorDesk desk, CancellationToken cancellation)
    {
        var (body, unreadable) = await JsonBody.ReadAsync(request, ChangeJsonContext.Default.TrimChangeView, new TrimChangeView(), cancellation);
        if (body is null)
        {
            return unreadable!;
        }

        if (body.Bytes.Unit is not (MemoryUnit.None or MemoryUnit.Bytes))
        {
            return ProblemMapping.BadRequest("How much to trim is given in bytes.");
        }

        var (reply, problem) = await desk.AskAsync(new OperatorProtocol.TrimPool(pool, body.Bytes.Value), cancellation);
        return reply switch
        {
            OperatorProtocol.PoolTrimmed trimmed => Results.Json(
                new TrimOutcomeView(trimmed.Pool.ToString(), trimmed.Name, trimmed.AskedBytes, trimmed.GivenBytes), ManagementJsonContext.Default.TrimOutcomeView),
            OperatorProtocol.OperatorRefused refused => ProblemMapping.Refused(refused.Refusal),
            _ => ProblemMapping.CoordinatorUnreachable(problem),
        };
    }
}
