using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Kvcached.Router.Tests.Support;

/// <summary>A real server on loopback in an engine's place, that answers as the test says and can be put to sleep.</summary>
internal sealed class FakeEngine : IAsyncDisposable
{
    private readonly WebApplication _app;
    private int _port;

    private FakeEngine(WebApplication app, int port)
    {
        _app = app;
        _port = port;
        app.Run(HandleAsync);
    }

    /// <summary>Answers what isn't about sleep or health.</summary>
    public RequestDelegate Answer { get; set; } = context => WriteJsonAsync(context, """{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}""");

    /// <summary>Runs before it falls asleep or wakes; throws or waits as the test likes.</summary>
    public Func<string, Task> OnSleepCall { get; set; } = _ => Task.CompletedTask;

    /// <summary>Status of sleep and wake calls.</summary>
    public int SleepStatus { get; set; } = StatusCodes.Status200OK;

    public bool IsAsleep { get; set; }

    /// <summary>Paths with queries, in the order in which they came; health isn't among them.</summary>
    public ConcurrentQueue<string> Calls { get; } = new();

    /// <summary>Requests for answers that came while it slept: what may never happen.</summary>
    public int AskedAsleep { get; private set; }

    public string Url => $"http://127.0.0.1:{_port}";

    public static async Task<FakeEngine> StartAsync(int port = 0)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(IPAddress.Loopback, port);
        });
        var engine = new FakeEngine(builder.Build(), port);
        await engine._app.StartAsync();
        engine._port = new Uri(engine._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Port;
        return engine;
    }

    public static Task WriteJsonAsync(HttpContext context, string json)
    {
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(json);
    }

    /// <summary>Ends it at once, as a kill would.</summary>
    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task HandleAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        if (path == "/health")
        {
            return;
        }

        Calls.Enqueue(path + context.Request.QueryString);
        switch (path)
        {
            case "/is_sleeping":
                await WriteJsonAsync(context, IsAsleep ? """{"is_sleeping":true}""" : """{"is_sleeping":false}""");
                break;
            case "/sleep" or "/wake_up":
                await OnSleepCall(path);
                context.Response.StatusCode = SleepStatus;
                IsAsleep = SleepStatus == StatusCodes.Status200OK ? path == "/sleep" : IsAsleep;
                break;
            default:
                AskedAsleep += IsAsleep ? 1 : 0;
                await Answer(context);
                break;
        }
    }
}
