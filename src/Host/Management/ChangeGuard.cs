namespace Kvcached.Host.Management;

/// <summary>
/// Lets a request that may change something pass only when it shows the token, and doesn't come from another site's page: such a page can have a browser send
/// requests, and the browser says whose page it was.
/// </summary>
internal sealed class ChangeGuard(RequestDelegate next, ManagementToken token)
{
    public Task InvokeAsync(HttpContext context)
    {
        var request = context.Request;
        if (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method))
        {
            return next(context);
        }

        if (FindForeignOrigin(request) is { } origin)
        {
            return ProblemMapping.ForeignOrigin(origin).ExecuteAsync(context);
        }

        if (!token.IsShownBy(request.Headers.Authorization.ToString()))
        {
            context.Response.Headers.WWWAuthenticate = "Bearer realm=\"kvcached\"";
            return ProblemMapping.Unauthorized().ExecuteAsync(context);
        }

        return next(context);
    }

    private static string? FindForeignOrigin(HttpRequest request)
    {
        var origin = request.Headers.Origin.ToString();
        if (origin.Length > 0)
        {
            return origin.Equals($"{request.Scheme}://{request.Host}", StringComparison.OrdinalIgnoreCase) ? null : origin;
        }

        var site = request.Headers["Sec-Fetch-Site"].ToString();
        return site is "" or "same-origin" or "none" ? null : "another site";
    }
}
