using Kvcached.Actors.Telemetry;
using Kvcached.Core.Ids;
using Kvcached.Host.Options;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Kvcached.Host.Metrics;

/// <summary>Spans of decisions, by OTLP; without an endpoint and a share nobody listens to them, and none is made.</summary>
internal static class TracesSetup
{
    public static void AddHostTraces(this IServiceCollection services, KvcachedHostOptions options)
    {
        if (options is not { OtlpEndpoint: { } endpoint, TraceShare: > 0 })
        {
            return;
        }

        services.AddOpenTelemetry().WithTracing(traces => traces
            .AddSource(KvcachedTraces.Name)
            .SetSampler(new ParentBasedSampler(new TraceIdRatioBasedSampler(options.TraceShare))) // a rank follows what the coordinator has chosen
            .AddOtlpExporter(exporter => exporter.Endpoint = endpoint));
    }

    /// <summary>Who says it, in all that is pushed.</summary>
    public static void DescribeHost(this ResourceBuilder resource, KvcachedHostOptions options, GpuId gpu) => resource
        .AddService("kvcached-host", serviceNamespace: "kvcached", serviceInstanceId: gpu.Value)
        .AddAttributes([new KeyValuePair<string, object>("kvcached.domain", options.Ranks.Domain)]);
}
