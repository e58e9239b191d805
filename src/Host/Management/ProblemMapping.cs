using Kvcached.Core.Contracts;

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

    public static IResult Fault() =>
        Problem("fault", "A fault of the host", StatusCodes.Status500InternalServerError, "The request failed; the host's log says at what.");

    private static IResult Problem(string type, string title, int status, string detail) => Results.Json(
        new ProblemView(TypePrefix + type, title, status, detail), ManagementJsonContext.Default.ProblemView, ContentType, status);
}
