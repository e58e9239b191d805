using Kvcached.Actors.Protocols;
using Kvcached.Core.Contracts;
using Kvcached.Host.Management;

namespace Kvcached.Host.Dashboard;

/// <summary>The page at <c>/</c>: three files from the host itself, and a stream of pictures of the domain.</summary>
internal static class DashboardEndpoints
{
    private const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    public static void MapDashboard(this IEndpointRouteBuilder routes)
    {
        // The browser listens to events by name; their names are the host's business.
        var page = PageFile.Read("index.html").Replace("<html lang=\"en\">", $"<html lang=\"en\" data-kinds=\"{string.Join(' ', DomainEventKinds.All)}\">", StringComparison.Ordinal);
        Map(routes, "/", "text/html; charset=utf-8", page);
        Map(routes, "/dashboard/app.js", "text/javascript; charset=utf-8", PageFile.Read("app.js"));
        Map(routes, "/dashboard/app.css", "text/css; charset=utf-8", PageFile.Read("app.css"));
        routes.MapGet("/dashboard/stream", (DashboardFeed feed) => feed.TryOpen() ?? ProblemMapping.TooManyStreams(EventBroadcast.MaxListeners))
            .WithSummary("A picture of the domain once a second, as the page shows it.")
            .Produces<DashboardView>(StatusCodes.Status200OK, "text/event-stream").ProducesProblems(503);
    }

    private static void Map(IEndpointRouteBuilder routes, string path, string contentType, string text) =>
        routes.MapGet(path, (HttpContext context) =>
        {
            var headers = context.Response.Headers;
            headers.ContentSecurityPolicy = Policy;
            headers.XContentTypeOptions = "nosniff";
            headers["Referrer-Policy"] = "no-referrer";

            // A host of another version may serve the same address next.
            headers.CacheControl = "no-cache";
            return Results.Text(text, contentType);
        }).ExcludeFromDescription();
}
