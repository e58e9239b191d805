using System.Globalization;
using System.Net;
using Kvcached.Router.Models;
using Kvcached.Router.Traffic;
using Yarp.ReverseProxy.Forwarder;

namespace Kvcached.Router.Proxy;

/// <summary>
/// Passes a request that was let in to its replica and the answer back. Only one whose replica can't be reached at all may go to another: that replica has seen nothing
/// of it. Once sent it is never sent again, since the engine may be at work on it.
/// </summary>
internal sealed partial class RequestForwarder(
    IHttpForwarder forwarder, HttpMessageInvoker http, RouterMetrics metrics, TimeProvider time, ILogger<RequestForwarder> log)
{
    /// <summary>Name of the header that says how long a request waited for its model to wake, in milliseconds.</summary>
    public const string WakeHeader = "x-kvcached-wake-ms";

    private readonly RouterTransformer _transformer = new();

    /// <summary>Forwards, and answers with an error where the engine doesn't.</summary>
    /// <param name="context">The request.</param>
    /// <param name="body">Its body.</param>
    /// <param name="route">The model.</param>
    /// <param name="ticket">The place that the request holds.</param>
    /// <param name="startedAt">When the request came, a timestamp.</param>
    /// <returns>How it ended; null when no connection to the replica stood: it counts as unwell from here on, and nothing was sent or answered.</returns>
    public async Task<RequestOutcome?> ForwardAsync(HttpContext context, BufferedBody body, ModelRoute route, Ticket ticket, long startedAt)
    {
        var client = context.Response.Body;
        await using var probe = new AnswerProbe(client, context.Response, route.Name, startedAt, metrics, time);
        await using var content = body.Open();
        var config = new ForwarderRequestConfig
        {
            ActivityTimeout = route.ActivityTimeout, Version = HttpVersion.Version11, VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        (context.Request.Body, context.Response.Body) = (content, probe);
        SayWakeWait(context, ticket);
        var error = await forwarder.SendAsync(context, ticket.Replica.Prefix, http, config, _transformer, context.RequestAborted);
        context.Response.Body = client;
        if (error == ForwarderError.None)
        {
            return EndOf(context, route.Name, probe);
        }

        if (context.RequestAborted.IsCancellationRequested)
        {
            return RequestOutcome.Cancelled;
        }

        var failure = context.Features.Get<IForwarderErrorFeature>()?.Exception;
        LogForwardFailed(route.Name, ticket.Replica.Prefix, error, failure?.GetBaseException().Message ?? string.Empty);
        if (context.Response.HasStarted)
        {
            // The forwarder has cut the connection, so that the client sees an answer that is not whole.
            return RequestOutcome.Failed;
        }

        context.Response.Clear();
        if (IsUnreached(error, failure))
        {
            ticket.Replica.IsHealthy = false;
            return null;
        }

        SayWakeWait(context, ticket);
        await ApiError.EngineFailed(context, route.Name, error is ForwarderError.RequestTimedOut or ForwarderError.RequestCanceled);
        return RequestOutcome.Failed;
    }

    private RequestOutcome EndOf(HttpContext context, string model, AnswerProbe probe)
    {
        switch (context.Response.StatusCode)
        {
            case < 400:
                metrics.Used(model, probe.FindUsage());
                return RequestOutcome.Answered;
            case < 500:
                return RequestOutcome.Rejected;
            default:
                return RequestOutcome.Failed;
        }
    }

    private static void SayWakeWait(HttpContext context, Ticket ticket)
    {
        if (ticket.WakeWait is { } waited)
        {
            context.Response.Headers[WakeHeader] = ((long)waited.TotalMilliseconds).ToString(CultureInfo.InvariantCulture);
        }
    }

    // Failed before a connection stood: nothing was sent.
    private static bool IsUnreached(ForwarderError error, Exception? failure) => error is ForwarderError.Request or ForwarderError.RequestTimedOut && failure is
        HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError }
        or OperationCanceledException { InnerException: TimeoutException };

    [LoggerMessage(RouterEventIds.ForwardFailed, LogLevel.Warning, "A request for {Model} failed at {Replica}: {Error} {Failure}")]
    private partial void LogForwardFailed(string model, string replica, ForwarderError error, string failure);
}
