using System.Net;
using Kvcached.Router.Configuration;
using Kvcached.Router.Frontend;
using Kvcached.Router.Proxy;

namespace Kvcached.Router.Startup;

/// <summary>
/// What is looked at before any endpoint: requests whose end two readers might see at different places, names that a web page points at loopback, and who may put
/// models to sleep. What an endpoint throws becomes an answer.
/// </summary>
internal sealed partial class RequestGuards(RequestDelegate next, RouterOptions options, ChangeToken token, ILogger<RequestGuards> log)
{
    private readonly bool _isLoopback = IPAddress.IsLoopback(options.Listen.Address);

    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            if (FindRefusal(context) is { } refused)
            {
                await refused;
                return;
            }

            await next(context);
            await ExplainAsync(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has gone; nobody is left to answer.
        }
        catch (BadHttpRequestException exception) when (!context.Response.HasStarted)
        {
            await (IsApi(context)
                ? ApiError.Broken(context, exception.StatusCode, exception.Message)
                : FrontendProblems.Broken(exception.StatusCode, exception.Message).ExecuteAsync(context));
        }
        catch (Exception exception) when (!context.Response.HasStarted)
        {
            LogFault(context.Request.Method, context.Request.Path, exception);
            await (IsApi(context) ? ApiError.Fault(context) : FrontendProblems.Fault().ExecuteAsync(context));
        }
    }

    /// <summary>Whether errors are told in the API's shape.</summary>
    public static bool IsApi(HttpContext context) => context.Request.Path.StartsWithSegments("/v1", StringComparison.Ordinal);

    // Routing says so without a word. What an endpoint of ours leaves without a body is an engine's own answer.
    private static Task ExplainAsync(HttpContext context) => context.Response switch
    {
        _ when context.GetEndpoint() is RouteEndpoint => Task.CompletedTask,
        { HasStarted: false, StatusCode: StatusCodes.Status405MethodNotAllowed } =>
            IsApi(context) ? ApiError.WrongMethod(context) : FrontendProblems.WrongMethod(context.Request.Method).ExecuteAsync(context),
        { HasStarted: false, StatusCode: StatusCodes.Status404NotFound } =>
            IsApi(context) ? ApiError.RouteNotFound(context) : FrontendProblems.RouteNotFound().ExecuteAsync(context),
        _ => Task.CompletedTask,
    };

    private Task? FindRefusal(HttpContext context)
    {
        var request = context.Request;

        // The server goes by Transfer-Encoding and sets a Content-Length beside it aside, under another name; somebody before it may have gone by that.
        if (request.Headers.TransferEncoding.Count > 0 && (request.Headers.ContentLength is not null || request.Headers.ContainsKey("X-Content-Length")))
        {
            context.Response.Headers.Connection = "close";
            const string Ambiguous = "A request has Content-Length or Transfer-Encoding, not both.";
            return IsApi(context) ? ApiError.BadRequest(context, Ambiguous) : FrontendProblems.Broken(StatusCodes.Status400BadRequest, Ambiguous).ExecuteAsync(context);
        }

        if (_isLoopback && !IsLoopbackName(request.Host.Host))
        {
            return IsApi(context) ? ApiError.ForeignHost(context) : FrontendProblems.ForeignHost().ExecuteAsync(context);
        }

        return request.Path.StartsWithSegments("/action") ? FindChangeRefusal(context) : null;
    }

    private Task? FindChangeRefusal(HttpContext context)
    {
        // A browser says whose page asks; no page has business here.
        if (context.Request.Headers.Origin.Count > 0 || context.Request.Headers["Sec-Fetch-Site"].ToString() is not ("" or "none"))
        {
            return FrontendProblems.ForeignOrigin().ExecuteAsync(context);
        }

        if (token.IsNeeded)
        {
            return token.IsShownBy(context.Request.Headers.Authorization.ToString()) ? null : FrontendProblems.TokenNeeded().ExecuteAsync(context);
        }

        return context.Connection.RemoteIpAddress is { } address && IPAddress.IsLoopback(address) ? null : FrontendProblems.LoopbackOnly().ExecuteAsync(context);
    }

    private static bool IsLoopbackName(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));

    [LoggerMessage(RouterEventIds.RequestFault, LogLevel.Error, "{Method} {Path} failed")]
    private partial void LogFault(string method, string path, Exception exception);
}
