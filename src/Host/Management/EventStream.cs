using System.Text;
using System.Threading.Channels;

namespace Kvcached.Host.Management;

/// <summary>Server-sent events, until the caller goes, the host stops, or the caller doesn't keep up.</summary>
/// <param name="channel">Where they come from.</param>
/// <param name="left">Told when the stream has ended.</param>
/// <param name="names">Names of the events that are wanted; null or empty = all.</param>
internal sealed class EventStream(Channel<StreamEvent> channel, Action left, IReadOnlyCollection<string>? names = null) : IResult
{
    // Proxies and readers take a line for a sign of life.
    private static readonly TimeSpan HeartbeatInterval = TimeSpan.FromSeconds(10);

    private static readonly ReadOnlyMemory<byte> Heartbeat = ":\n\n"u8.ToArray();

    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var lifetime = httpContext.RequestServices.GetRequiredService<IHostApplicationLifetime>();
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(httpContext.RequestAborted, lifetime.ApplicationStopping);
        try
        {
            var response = httpContext.Response;
            response.ContentType = "text/event-stream";
            response.Headers.CacheControl = "no-store";
            await response.Body.WriteAsync(Heartbeat, ending.Token);
            await response.Body.FlushAsync(ending.Token);
            while (!ending.IsCancellationRequested)
            {
                var isMore = await WaitAsync(ending.Token);
                if (isMore is false)
                {
                    break;
                }

                if (isMore is null)
                {
                    await response.Body.WriteAsync(Heartbeat, ending.Token);
                }

                while (channel.Reader.TryRead(out var item))
                {
                    if (names is null or { Count: 0 } || names.Contains(item.Name))
                    {
                        await response.Body.WriteAsync(Format(item), ending.Token);
                    }
                }

                await response.Body.FlushAsync(ending.Token);
            }
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
            // That is how streams end.
        }
        finally
        {
            left();
        }
    }

    /// <summary>True = there are events; false = there won't be any more; null = none came for a while.</summary>
    private async Task<bool?> WaitAsync(CancellationToken ending)
    {
        using var pause = CancellationTokenSource.CreateLinkedTokenSource(ending);
        pause.CancelAfter(HeartbeatInterval);
        try
        {
            return await channel.Reader.WaitToReadAsync(pause.Token);
        }
        catch (OperationCanceledException) when (!ending.IsCancellationRequested)
        {
            return null;
        }
    }

    // Data is JSON on one line, so that it needs no splitting.
    private static byte[] Format(StreamEvent item) =>
        Encoding.UTF8.GetBytes($"event: {item.Name}\n{(item.Id.Length == 0 ? string.Empty : $"id: {item.Id}\n")}data: {item.Data}\n\n");
}
