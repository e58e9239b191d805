using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Text;
using Kvcached.Host.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Kvcached.Host.Tests.Metrics;

/// <summary>A span as it was pushed.</summary>
internal sealed record PushedSpan(string Instance, string Name, string TraceId, string SpanId, string ParentSpanId, ImmutableDictionary<string, string> Tags);

/// <summary>A collector of OTLP over gRPC that keeps the spans, as far as a test needs them.</summary>
internal sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentQueue<PushedSpan> _spans = new();

    private OtlpReceiver(WebApplication app) => _app = app;

    public string Url => _app.Urls.First();

    public static async Task<OtlpReceiver> StartAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        var receiver = new OtlpReceiver(builder.Build());
        receiver._app.Run(receiver.TakeAsync);
        await receiver._app.StartAsync();
        return receiver;
    }

    /// <summary>Waits until spans have come that are as wanted.</summary>
    public async Task<T> WaitForAsync<T>(Func<IReadOnlyList<PushedSpan>, T?> find)
        where T : class
    {
        var waited = Stopwatch.StartNew();
        while (true)
        {
            if (find([.. _spans]) is { } found)
            {
                return found;
            }

            Assert.True(waited.Elapsed < HostLauncher.Patience, $"The spans never came; these did: {string.Join(Environment.NewLine, _spans)}");
            await Task.Delay(50);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private async Task TakeAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var bytes = body.ToArray();
        if (context.Request.Path.Value!.EndsWith("TraceService/Export", StringComparison.Ordinal))
        {
            // One message: a flag for compression, its length, itself.
            Assert.Equal(0, bytes[0]);
            Assert.Equal(bytes.Length - 5, BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(1)));
            Take(bytes.AsMemory(5));
        }

        context.Response.ContentType = "application/grpc";
        await context.Response.Body.WriteAsync(new byte[5]);
        context.Response.AppendTrailer("grpc-status", "0");
    }

    // Numbers of fields are those of opentelemetry-proto's trace and resource messages.
    private void Take(ReadOnlyMemory<byte> request)
    {
        foreach (var ofResource in ProtobufFields.Messages(request, 1))
        {
            var instance = Attributes(ProtobufFields.Messages(ofResource, 1).Single(), 1).GetValueOrDefault("service.instance.id", string.Empty);
            foreach (var span in ProtobufFields.Messages(ofResource, 2).SelectMany(scope => ProtobufFields.Messages(scope, 2)))
            {
                _spans.Enqueue(new PushedSpan(instance, Text(span, 5), Hex(span, 1), Hex(span, 2), Hex(span, 4), Attributes(span, 9)));
            }
        }
    }

    private static ImmutableDictionary<string, string> Attributes(ReadOnlyMemory<byte> message, int field) => ProtobufFields.Messages(message, field)
        .ToImmutableDictionary(pair => Text(pair, 1), pair => Text(ProtobufFields.Messages(pair, 2).Single(), 1));

    private static string Text(ReadOnlyMemory<byte> message, int field) =>
        string.Concat(ProtobufFields.Messages(message, field).Select(bytes => Encoding.UTF8.GetString(bytes.Span)));

    private static string Hex(ReadOnlyMemory<byte> message, int field) =>
        string.Concat(ProtobufFields.Messages(message, field).Select(bytes => Convert.ToHexStringLower(bytes.Span)));
}
