using Kvcached.Actors.Protocols;
using Kvcached.Core.Contracts;
using Kvcached.Core.Decisions;

namespace Kvcached.Host.Management;

/// <summary>Every problem that the management HTTP answers with, in one place, so that their types stay stable.</summary>
internal static class ProblemMapping
{
    private const string TypePrefix = "urn:kvcached:problem:";
    private const string ContentType = "application/problem+json";

    public static IResult CoordinatorUnreachable(string detail) =>
        Problem("coordinator-unreachable", "The coordinator can't be reached", StatusCodes.Status503ServiceUnavailable, detail);

    public static IResult PoolNotFound(string pool) =>
        Problem("pool-not-found", "No such pool", StatusCodes.Status404NotFound, $"No open pool has the id or name '{pool}'. GET /pools lists them.");

    public static IResult MemberNotFound(string address) => Problem(
        "member-not-found", "No such member", StatusCodes.Status404NotFound, $"Member [{address}] not found. GET /cluster/members lists them.");

    public static IResult RouteNotFound(string path) =>
        Problem("route-not-found", "No such route", StatusCodes.Status404NotFound, $"There is nothing at {path}.");

    public static IResult ForeignHost(string host) => Problem(
        "foreign-host", "Not this host", StatusCodes.Status421MisdirectedRequest,
        $"The Host header '{host}' names neither loopback nor this host's address; use http://127.0.0.1 and the port.");

    public static IResult Unauthorized() => Problem(
        "unauthorized", "Changes need the token", StatusCodes.Status401Unauthorized,
        "Send 'Authorization: Bearer TOKEN' with what the host's token file holds; its ready line names the file, and kvctl does so by itself.");

    public static IResult ForeignOrigin(string origin) => Problem(
        "foreign-origin", "Not from here", StatusCodes.Status403Forbidden,
        $"A page of {origin} asked for this change; only this host's own pages may.");

    public static IResult BadRequest(string detail) => Problem("bad-request", "The request can't be understood", StatusCodes.Status400BadRequest, detail);

    public static IResult WrongContentType(string expected) => Problem(
        "wrong-content-type", "Another content type is expected", StatusCodes.Status415UnsupportedMediaType, $"Send the body as {expected}.");

    public static IResult WrongRequest(int status, string method, string path) => status == StatusCodes.Status415UnsupportedMediaType
        ? WrongContentType("application/json")
        : Problem("wrong-method", "Not that way", status, $"{path} can't be asked by {method}; /openapi.json says how.");

    public static IResult BrokenRequest(int status, string detail) => Problem("broken-request", "The request can't be taken in", status, detail);

    public static IResult TooManyStreams(int most) => Problem(
        "too-many-streams", "Too many streams", StatusCodes.Status503ServiceUnavailable, $"{most} streams are open already; close one.");

    public static IResult RevisionTaken(OperatorProtocol.PolicyChanged changed) => changed.Outcome == PolicyOutcome.Stale
        ? Problem("revision-stale", "A later change is in force", StatusCodes.Status409Conflict,
            $"Revision {changed.Revision} of pool '{changed.Name}' is in force, which came after this one. Nothing has changed.", changed.Revision)
        : Problem("revision-conflict", "That revision is another change's", StatusCodes.Status409Conflict,
            $"Revision {changed.Revision} of pool '{changed.Name}' is in force and says something else. Nothing has changed; choose a higher revision.", changed.Revision);

    /// <summary>The coordinator's refusal.</summary>
    public static IResult Refused(Refusal refusal) => refusal.Reason switch
    {
        RefusalReason.UnknownPool => Problem("pool-not-found", "No such pool", StatusCodes.Status404NotFound, refusal.Detail),
        RefusalReason.UnknownGpu => Problem("gpu-not-found", "No such GPU", StatusCodes.Status404NotFound, refusal.Detail),
        RefusalReason.Recovering => Problem("recovering", "The coordinator is recovering", StatusCodes.Status503ServiceUnavailable, refusal.Detail),
        RefusalReason.FloorDoesNotFit => Problem("floor-does-not-fit", "The floor doesn't fit", StatusCodes.Status409Conflict, refusal.Detail),
        RefusalReason.BadLimit or RefusalReason.InvalidCount => Problem("bad-limit", "That can't be laid down", StatusCodes.Status400BadRequest, refusal.Detail),
        _ => Problem("refused", "Refused", StatusCodes.Status409Conflict, refusal.ToString()),
    };

    public static IResult Fault() =>
        Problem("fault", "A fault of the host", StatusCodes.Status500InternalServerError, "The request failed; the host's log says at what.");

    private static IResult Problem(string type, string title, int status, string detail, long? revision = null) => Results.Json(
        new ProblemView(TypePrefix + type, title, status, detail) { Revision = revision }, ManagementJsonContext.Default.ProblemView, ContentType, status);
}
