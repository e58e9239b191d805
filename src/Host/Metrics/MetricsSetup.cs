using Kvcached.Actors.Telemetry;
using Kvcached.Core.Ids;
using Kvcached.Host.Options;
using OpenTelemetry.Metrics;

namespace Kvcached.Host.Metrics;

/// <summary>Metrics at <c>/metrics</c> for Prometheus, and by OTLP when an endpoint is named.</summary>
internal static class MetricsSetup
{
    private const string Path = "/metrics";

    public static void AddHostMetrics(this IServiceCollection services, KvcachedHostOptions options, GpuId gpu)
    {
        services.AddSingleton<DomainSnapshot>();
        services.AddSingleton<HostMetrics>();
        services.AddOpenTelemetry().ConfigureResource(resource => resource.DescribeHost(options, gpu)).WithMetrics(metrics =>
        {
            metrics.AddMeter(KvcachedMeter.Name).AddPrometheusExporter();
            if (options.OtlpEndpoint is { } endpoint)
            {
                metrics.AddOtlpExporter(exporter => exporter.Endpoint = endpoint);
            }
        });
        if (options.OtlpEndpoint is not null)
        {
            services.AddHostedService<SnapshotRefresher>();
        }
    }

    public static void UseHostMetrics(this WebApplication app)
    {
        // Not before the host is up: what it reads needs the actor system, whose failure to start is for the start-up to explain.
        app.Lifetime.ApplicationStarted.Register(() => _ = app.Services.GetRequiredService<HostMetrics>());
        app.UseWhen(context => context.Request.Path == Path, scraped => scraped.Use(async (context, next) =>
        {
            await context.RequestServices.GetRequiredService<DomainSnapshot>().RefreshAsync(context.RequestAborted);
            await next(context);
        }));
        app.UseOpenTelemetryPrometheusScrapingEndpoint(Path);
    }

    /// <summary>What is pushed is read when the exporter likes, so that the picture is kept fresh.</summary>
    private sealed class SnapshotRefresher(IServiceProvider services, TimeProvider time) : BackgroundService
    {
        private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

        protected override async Task ExecuteAsync(CancellationToken stoppingToken)
        {
            using var timer = new PeriodicTimer(Interval, time);
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                await services.GetRequiredService<DomainSnapshot>().RefreshAsync(stoppingToken);
            }
        }
    }
}
