using System.Diagnostics;
using System.Text;
using Kvcached.Benchmarks.Measuring;

namespace Kvcached.Benchmarks.Routers;

/// <summary>One round of requests to one address.</summary>
/// <param name="Microseconds">From a request to the last byte of its answer; at a rate, from when it was due.</param>
/// <param name="RequestsPerSecond">Over the whole round.</param>
internal sealed record LoadRun(Samples Microseconds, double RequestsPerSecond)
{
    private static readonly byte[] Body = Encoding.UTF8.GetBytes($$"""{"model":"bench","max_tokens":400,"prompt":"{{new string('x', 1000)}}"}""");

    /// <summary>As fast as so many clients can, each with one request at a time.</summary>
    public static async Task<LoadRun> ClosedAsync(Uri url, int clientCount, int requestCount)
    {
        using var http = Client(clientCount);
        var (left, all) = (requestCount, new Samples());
        var start = Stopwatch.GetTimestamp();
        foreach (var samples in await Task.WhenAll(Enumerable.Range(0, clientCount).Select(_ => Task.Run(async () =>
        {
            var own = new List<double>();
            while (Interlocked.Decrement(ref left) >= 0)
            {
                own.Add(await AskAsync(http, url, Stopwatch.GetTimestamp()));
            }

            return own;
        }))))
        {
            all.AddRange(samples);
        }

        return new LoadRun(all, requestCount / Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    /// <summary>At a fixed rate, whether or not answers keep up: one that comes late has waited since it was due.</summary>
    public static async Task<LoadRun> OpenAsync(Uri url, int perSecond, int requestCount)
    {
        using var http = Client(requestCount);
        var (asked, all) = (new List<Task<double>>(), new Samples());
        var start = Stopwatch.GetTimestamp();
        var ticks = (double)Stopwatch.Frequency / perSecond;
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(1));
        while (asked.Count < requestCount)
        {
            for (var due = start + (long)(asked.Count * ticks); due <= Stopwatch.GetTimestamp() && asked.Count < requestCount; due = start + (long)(asked.Count * ticks))
            {
                asked.Add(AskAsync(http, url, due));
            }

            await timer.WaitForNextTickAsync();
        }

        all.AddRange(await Task.WhenAll(asked));
        return new LoadRun(all, requestCount / Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    private static HttpClient Client(int connections) => new(new SocketsHttpHandler { UseProxy = false, MaxConnectionsPerServer = connections });

    private static async Task<double> AskAsync(HttpClient http, Uri url, long since)
    {
        using var content = new ByteArrayContent(Body);
        content.Headers.ContentType = new("application/json");
        using var response = await http.PostAsync(url, content);
        response.EnsureSuccessStatusCode();
        await response.Content.ReadAsByteArrayAsync();
        return Stopwatch.GetElapsedTime(since).TotalMicroseconds;
    }
}
