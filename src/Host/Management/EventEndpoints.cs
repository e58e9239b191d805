namespace Kvcached.Host.Management;

/// <summary>Streams of events, as server-sent events.</summary>
internal static class EventEndpoints
{
    private const string ContentType = "text/event-stream";

    public static void MapEventEndpoints(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/events", (HttpRequest request, DomainFeed feed) =>
                feed.TryOpen(request.Headers["Last-Event-ID"].ToString()) ?? ProblemMapping.TooManyStreams(EventBroadcast.MaxListeners))
            .WithSummary("What happens in the domain, from the latest events on, or from Last-Event-ID.")
            .Produces<string>(StatusCodes.Status200OK, ContentType).ProducesProblems(503);
        routes.MapGet("/cluster/domain-events", (HttpRequest request, ClusterFeed feed) =>
                feed.TryOpen([.. request.Query["type"].OfType<string>()]) ?? ProblemMapping.TooManyStreams(EventBroadcast.MaxListeners))
            .WithSummary("What happens to the cluster's members, of all types or of those named by 'type'.")
            .Produces<string>(StatusCodes.Status200OK, ContentType).ProducesProblems(503);
    }
}
