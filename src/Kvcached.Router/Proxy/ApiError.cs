using System.Globalization;
using System.Text.Json.Serialization;
using Kvcached.Router.Models;

namespace Kvcached.Router.Proxy;

/// <summary>An error in the shape of the OpenAI API, which its client libraries read.</summary>
internal sealed record ApiErrorBody(ApiErrorDetail Error);

/// <summary>What it says.</summary>
internal sealed record ApiErrorDetail(string Message, string Type, string? Param, string? Code);

/// <summary>Writes what the router itself answers under <c>/v1</c>, in one place, so that codes stay stable.</summary>
internal static class ApiError
{
    private const string InvalidRequest = "invalid_request_error";
    private const string ServerError = "server_error";

    public static Task BadRequest(HttpContext context, string message, string? param = null) =>
        WriteAsync(context, StatusCodes.Status400BadRequest, message, InvalidRequest, param, "bad_request");

    /// <summary>What the server said of a body that was too long, too slow or cut off.</summary>
    public static Task Broken(HttpContext context, int status, string message) => WriteAsync(
        context, status, message, InvalidRequest, null, status == StatusCodes.Status413PayloadTooLarge ? "request_too_large" : "bad_request");

    public static Task ModelNotFound(HttpContext context, string model) => WriteAsync(
        context, StatusCodes.Status404NotFound, $"The model '{Shorten(model)}' does not exist; GET /v1/models lists those there are.", InvalidRequest, "model", "model_not_found");

    public static Task RouteNotFound(HttpContext context) => WriteAsync(
        context, StatusCodes.Status404NotFound,
        $"There is no {context.Request.Method} {Shorten(context.Request.Path)}; /v1/chat/completions, /v1/completions, /v1/embeddings and /v1/models are served.", InvalidRequest, null, "not_found");

    public static Task WrongMethod(HttpContext context) => WriteAsync(
        context, StatusCodes.Status405MethodNotAllowed, $"{Shorten(context.Request.Path)} can't be asked by {context.Request.Method}.", InvalidRequest, null, "method_not_allowed");

    public static Task ForeignHost(HttpContext context) => WriteAsync(
        context, StatusCodes.Status421MisdirectedRequest, "The Host header doesn't name this machine; use http://127.0.0.1 and the port.", InvalidRequest, null, "foreign_host");

    public static Task OutOfMemory(HttpContext context) => RetryAsync(
        context, StatusCodes.Status503ServiceUnavailable, ModelGate.ShortRetry, "Bodies of requests fill the memory that the router has for them; try again.", "router_busy");

    public static Task Refused(HttpContext context, string model, Refusal refusal) => refusal.Kind switch
    {
        RefusalKind.QueueFull => RetryAsync(
            context, StatusCodes.Status429TooManyRequests, refusal.RetryAfter, $"As many requests wait for '{model}' as may; try again.", "queue_full"),
        RefusalKind.QueueDeadline => RetryAsync(
            context, StatusCodes.Status503ServiceUnavailable, refusal.RetryAfter, $"No engine of '{model}' had room in time; try again.", "queue_deadline"),
        RefusalKind.WakeTooSlow => RetryAsync(
            context, StatusCodes.Status503ServiceUnavailable, refusal.RetryAfter, $"'{model}' is being woken, which takes longer than a request may wait; try again.", "model_waking"),
        RefusalKind.WakeFailed => RetryAsync(
            context, StatusCodes.Status503ServiceUnavailable, refusal.RetryAfter, $"'{model}' slept and could not be woken; the router's log says why.", "wake_failed"),
        RefusalKind.Removed => ModelNotFound(context, model),
        _ => RetryAsync(context, StatusCodes.Status503ServiceUnavailable, refusal.RetryAfter, $"No engine of '{model}' can be reached.", "no_replica"),
    };

    /// <summary>The engine was given the request and didn't answer it.</summary>
    public static Task EngineFailed(HttpContext context, string model, bool isTimeout) => WriteAsync(
        context, isTimeout ? StatusCodes.Status504GatewayTimeout : StatusCodes.Status502BadGateway,
        isTimeout ? $"The engine of '{model}' said nothing for too long." : $"The engine of '{model}' ended the connection before it answered.",
        ServerError, null, isTimeout ? "engine_timeout" : "engine_failed");

    public static Task Fault(HttpContext context) => WriteAsync(
        context, StatusCodes.Status500InternalServerError, "The router failed at this request; its log says at what.", ServerError, null, "router_fault");

    /// <summary>Whole seconds, 1 at least.</summary>
    public static string RetryAfterText(TimeSpan time) => Math.Max(1, (long)Math.Ceiling(time.TotalSeconds)).ToString(CultureInfo.InvariantCulture);

    private static Task RetryAsync(HttpContext context, int status, TimeSpan retryAfter, string message, string code)
    {
        context.Response.Headers.RetryAfter = RetryAfterText(retryAfter);
        return WriteAsync(context, status, message, status == StatusCodes.Status429TooManyRequests ? "rate_limit_error" : ServerError, null, code);
    }

    private static Task WriteAsync(HttpContext context, int status, string message, string type, string? param, string code)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsJsonAsync(
            new ApiErrorBody(new ApiErrorDetail(message, type, param, code)), ApiJsonContext.Default.ApiErrorBody, cancellationToken: context.RequestAborted);
    }

    // Of what a client sent, as much as makes sense to say back.
    private static string Shorten(string text) => text.Length <= 128 ? text : text[..128] + "…";
}

/// <summary>Writes what the router says under <c>/v1</c>.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ApiErrorBody))]
[JsonSerializable(typeof(ModelListBody))]
internal sealed partial class ApiJsonContext : JsonSerializerContext;

/// <summary>What <c>/v1/models</c> answers.</summary>
internal sealed record ModelListBody(string Object, IReadOnlyList<ModelBody> Data);

/// <summary>One model of it.</summary>
internal sealed record ModelBody(string Id, string Object, long Created, string OwnedBy);
