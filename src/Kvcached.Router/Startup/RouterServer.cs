using System.Text.Json;
using Kvcached.Router.Configuration;
using Kvcached.Router.Frontend;
using Kvcached.Router.Models;
using Kvcached.Router.Proxy;
using Kvcached.Router.Sleeping;
using Kvcached.Router.Traffic;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging.Console;
using OpenTelemetry.Metrics;

namespace Kvcached.Router.Startup;

/// <summary>Puts the router together.</summary>
internal static class RouterServer
{
    private const string MetricsPath = "/metrics";
    private const int MaxHeaderBytes = 64 << 10;
    private static readonly TimeSpan HeadersTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(30);

    public static WebApplication Create(RouterOptions options, IReadOnlyList<ModelRoute> models, ChangeToken token)
    {
        // Empty, so that no other source than ours sets addresses.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.UseUtcTimestamp = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            console.ColorBehavior = LoggerColorBehavior.Disabled;
        });
        builder.Logging.SetMinimumLevel(LogLevel.Warning).AddFilter("Kvcached", LogLevel.Information).AddFilter("Yarp", LogLevel.Error);
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.Services.Configure<ConsoleLifetimeOptions>(lifetime => lifetime.SuppressStatusMessages = true);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = StopTimeout);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            Bound(kestrel.Limits, options);
            kestrel.Listen(options.Listen);
        });
        AddServices(builder.Services, options, models, token);

        var app = builder.Build();
        Map(app);
        return app;
    }

    /// <summary>Where it listens, once it does.</summary>
    public static Uri AddressOf(WebApplication app) => new(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());

    /// <summary>The one line on stdout, for whoever started the router.</summary>
    public static string ReadyLine(WebApplication app) => $$"""{"event":"ready","url":"{{JsonEncodedText.Encode(AddressOf(app).GetLeftPart(UriPartial.Authority))}}","pid":{{Environment.ProcessId}}}""";

    // The rate of bodies is left at the server's default: 240 bytes a second after 5 s, so that half-open connections are ended. Readers that have stopped are ended by the
    // activity timeout of their model.
    private static void Bound(KestrelServerLimits limits, RouterOptions options)
    {
        limits.MaxRequestBodySize = options.MaxBodyBytes;
        limits.MaxConcurrentConnections = options.MaxConnections;
        limits.MaxRequestHeadersTotalSize = MaxHeaderBytes;
        limits.RequestHeadersTimeout = HeadersTimeout;
    }

    private static void AddServices(IServiceCollection services, RouterOptions options, IReadOnlyList<ModelRoute> models, ChangeToken token)
    {
        services.AddSingleton(options);
        services.AddSingleton(token);
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton<RouterMetrics>();
        services.AddSingleton(_ => EngineHttp.Create());
        services.AddSingleton<IEngineControl, HttpEngineControl>();
        services.AddSingleton<ModelSleeper>();
        services.AddSingleton(provider =>
        {
            var sleeper = provider.GetRequiredService<ModelSleeper>();
            var table = new ModelTable(provider.GetRequiredService<TimeProvider>(), gate => _ = sleeper.WakeAsync(gate));
            table.Apply(models);
            provider.GetRequiredService<RouterMetrics>().Observe(table);
            return table;
        });
        services.AddSingleton(new BodyBudget(options.BodyMemoryBytes));
        services.AddSingleton<RequestForwarder>();
        services.AddSingleton<InferenceEndpoint>();
        services.AddSingleton<StatusEndpoints>();
        services.AddSingleton<SleepEndpoints>();
        services.AddSingleton<ModelListEndpoints>();
        services.AddHostedService<FirstLook>();
        services.AddHostedService<HealthWatch>();
        services.AddHostedService<SleepWatch>();
        services.AddHostedService<ModelsReload>();
        services.AddHttpForwarder();
        services.AddRoutingCore();
        services.AddOpenTelemetry().WithMetrics(metrics => metrics.AddMeter(RouterMetrics.MeterName).AddPrometheusExporter());
    }

    private static void Map(WebApplication app)
    {
        app.UseMiddleware<RequestGuards>();
        app.UseOpenTelemetryPrometheusScrapingEndpoint(MetricsPath);
        app.UseRouting();
        var inference = app.Services.GetRequiredService<InferenceEndpoint>();
        foreach (var path in new[] { "/v1/chat/completions", "/v1/completions", "/v1/embeddings" })
        {
            app.MapPost(path, inference.HandleAsync);
        }

        app.Services.GetRequiredService<ModelListEndpoints>().Map(app);
        app.Services.GetRequiredService<StatusEndpoints>().Map(app);
        app.Services.GetRequiredService<SleepEndpoints>().Map(app);
    }

    /// <summary>Before requests are served, engines are asked once whether they sleep: a router that is started anew takes over what the last one left.</summary>
    private sealed class FirstLook(ModelTable table, ModelSleeper sleeper, TimeProvider time) : IHostedService
    {
        // An engine that doesn't say so by then is taken to be awake.
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

        public async Task StartAsync(CancellationToken cancellationToken)
        {
            using var overdue = new CancellationTokenSource(Patience, time);
            using var linked = CancellationTokenSource.CreateLinkedTokenSource(overdue.Token, cancellationToken);
            try
            {
                await Task.WhenAll(table.Models.Select(model => sleeper.LookAsync(model.Gate, linked.Token)));
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // Those that have answered are known.
            }
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
