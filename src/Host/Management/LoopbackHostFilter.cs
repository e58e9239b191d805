using System.Net;

namespace Kvcached.Host.Management;

/// <summary>
/// Refuses requests whose Host header names neither loopback nor this host's own address. A web page can make a browser on this machine
/// send requests here by pointing a name of its own at 127.0.0.1; it can't choose the Host header, which is that name.
/// </summary>
internal sealed class LoopbackHostFilter(RequestDelegate next, string bindAddress)
{
    private readonly IPAddress? _bindAddress = IPAddress.TryParse(bindAddress, out var address) ? address : null;

    public Task InvokeAsync(HttpContext context)
    {
        var host = context.Request.Host.Host;
        return IsOurs(host)
            ? next(context)
            : ProblemMapping.ForeignHost(host).ExecuteAsync(context);
    }

    private bool IsOurs(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && (IPAddress.IsLoopback(address) || address.Equals(_bindAddress)));
}
