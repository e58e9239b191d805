using System.Net;
using Kvcached.Benchmarks.Measuring;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Yarp.ReverseProxy.Forwarder;

namespace Kvcached.Benchmarks.Routers;

/// <summary>What the router is measured beside, each a process of its own: an engine that answers at once, and YARP that forwards to it and does nothing else.</summary>
internal static class BareServer
{
    public const string CommandName = "router-peer";

    private const string Help = "router-peer: an engine, or with --forward URL a plain forwarder to one; it says its address and ends with its standard input.";

    // An answer of a few hundred tokens.
    private static readonly byte[] Answer = [.. """{"id":"x","object":"text_completion","choices":[{"index":0,"finish_reason":"length","text":" """u8, .. Enumerable.Repeat((byte)'x', 2000),
        .. "\"}],\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":400,\"total_tokens\":600}}"u8];

    public static async Task<int> RunAsync(string[] args)
    {
        if (Arguments.Parse(args, Help) is not { } arguments)
        {
            return 2;
        }

        var forward = arguments.Text("--forward", string.Empty);
        arguments.RequireAllRead();
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        builder.Services.AddHttpForwarder();
        await using var app = builder.Build();
        app.Run(forward.Length > 0 ? Forward(app.Services.GetRequiredService<IHttpForwarder>(), forward) : AnswerAsync);
        await app.StartAsync();
        Console.WriteLine(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        await Console.In.ReadToEndAsync();
        await app.StopAsync();
        return 0;
    }

    private static async Task AnswerAsync(HttpContext context)
    {
        await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = Answer.Length;
        await context.Response.Body.WriteAsync(Answer, context.RequestAborted);
    }

    private static RequestDelegate Forward(IHttpForwarder forwarder, string address)
    {
        var http = new HttpMessageInvoker(new SocketsHttpHandler
        {
            UseProxy = false, UseCookies = false, AllowAutoRedirect = false, AutomaticDecompression = DecompressionMethods.None, ActivityHeadersPropagator = null,
        });
        var config = new ForwarderRequestConfig { Version = HttpVersion.Version11, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        return async context => await forwarder.SendAsync(context, address, http, config, HttpTransformer.Default);
    }
}
