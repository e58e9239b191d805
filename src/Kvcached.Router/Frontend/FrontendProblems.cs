namespace Kvcached.Router.Frontend;

/// <summary>Every problem outside <c>/v1</c>, in one place, so that their types stay stable.</summary>
internal static class FrontendProblems
{
    private const string TypePrefix = "urn:kvcached:router:problem:";
    private const string ContentType = "application/problem+json";

    public static IResult ModelNotFound(string model) =>
        Problem("model-not-found", "No such model", StatusCodes.Status404NotFound, $"Model {(model.Length <= 128 ? model : model[..128] + "…")} not found; GET /models lists those there are.");

    public static IResult RouteNotFound() => Problem("route-not-found", "No such route", StatusCodes.Status404NotFound, "There is nothing at this path.");

    public static IResult BadNumber(string name, int min, int max) =>
        Problem("bad-request", "The request can't be understood", StatusCodes.Status400BadRequest, $"{name} must be a whole number from {min} to {max}.");

    public static IResult WrongMethod(string method) =>
        Problem("wrong-method", "Not that way", StatusCodes.Status405MethodNotAllowed, $"This path can't be asked by {method}.");

    public static IResult ForeignHost() => Problem(
        "foreign-host", "Not this router", StatusCodes.Status421MisdirectedRequest, "The Host header doesn't name this machine; use http://127.0.0.1 and the port.");

    public static IResult ForeignOrigin() => Problem("foreign-origin", "Not from here", StatusCodes.Status403Forbidden, "A page of another site asked for this; none may.");

    public static IResult TokenNeeded() => Problem(
        "unauthorized", "Changes need the token", StatusCodes.Status401Unauthorized, "Send 'Authorization: Bearer TOKEN' with what the file of --token-file holds.");

    public static IResult LoopbackOnly() => Problem(
        "loopback-only", "Not from another machine", StatusCodes.Status403Forbidden, "Without --token-file sleep and wake are served on loopback only.");

    public static IResult Broken(int status, string detail) => Problem("broken-request", "The request can't be taken in", status, detail);

    public static IResult Fault() => Problem("fault", "A fault of the router", StatusCodes.Status500InternalServerError, "The request failed; the router's log says at what.");

    private static IResult Problem(string type, string title, int status, string detail) => Results.Json(
        new FrontendProblem(TypePrefix + type, title, status, detail, detail), FrontendJsonContext.Default.FrontendProblem, ContentType, status);
}
