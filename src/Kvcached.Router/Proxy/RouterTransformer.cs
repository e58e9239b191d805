using Yarp.ReverseProxy.Forwarder;

namespace Kvcached.Router.Proxy;

/// <summary>
/// Passes a request on as it is, but for what a client might say of itself that an engine would take for the router's word. What concerns the connection to the router
/// only, the forwarder leaves out by itself.
/// </summary>
internal sealed class RouterTransformer : HttpTransformer
{
    private static readonly string[] Untrusted =
        ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL"];

    public override async ValueTask TransformRequestAsync(
        HttpContext httpContext, HttpRequestMessage proxyRequest, string destinationPrefix, CancellationToken cancellationToken)
    {
        await base.TransformRequestAsync(httpContext, proxyRequest, destinationPrefix, cancellationToken);

        // The engine's own name, from its address.
        proxyRequest.Headers.Host = null;
        foreach (var name in Untrusted)
        {
            proxyRequest.Headers.Remove(name);
        }

        // The body is here already.
        proxyRequest.Headers.ExpectContinue = null;
    }
}
