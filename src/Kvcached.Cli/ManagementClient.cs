using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Kvcached.Core.Contracts;

namespace Kvcached.Cli;

/// <summary>Speaks a host's management HTTP.</summary>
internal sealed class ManagementClient(Uri url) : IDisposable
{
    // Longer than a host waits for its coordinator by default, so that its answer is told, not our own impatience.
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private readonly HttpClient _http = new() { BaseAddress = url, Timeout = Timeout };

    /// <exception cref="HostUnreachableException">No host answered in time.</exception>
    /// <exception cref="HostRefusedException">The host answered with a problem.</exception>
    public async Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(path, UriKind.Relative));
        return await SendAsync(request, type, cancellation);
    }

    /// <summary>Changes something.</summary>
    /// <param name="method">PUT or POST.</param>
    /// <param name="path">Where.</param>
    /// <param name="token">Shows that the caller may.</param>
    /// <param name="body">What is sent.</param>
    /// <param name="bodyType">How.</param>
    /// <param name="type">What comes back.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="HostUnreachableException">No host answered in time.</exception>
    /// <exception cref="HostRefusedException">The host answered with a problem.</exception>
    public async Task<T> ChangeAsync<TBody, T>(
        HttpMethod method, string path, string token, TBody body, JsonTypeInfo<TBody> bodyType, JsonTypeInfo<T> type, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative));
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        request.Content = JsonContent.Create(body, bodyType);
        return await SendAsync(request, type, cancellation);
    }

    /// <summary>The same, where the path says it all.</summary>
    /// <exception cref="HostUnreachableException">No host answered in time.</exception>
    /// <exception cref="HostRefusedException">The host answered with a problem.</exception>
    public async Task<T> ChangeAsync<T>(HttpMethod method, string path, string token, JsonTypeInfo<T> type, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative));
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return await SendAsync(request, type, cancellation);
    }

    /// <summary>Lines of a stream of server-sent events, until it ends.</summary>
    /// <exception cref="HostUnreachableException">No host answered in time, or it went away.</exception>
    public async IAsyncEnumerable<string> ReadEventsAsync(string path, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Data = "data: ";
        using var http = new HttpClient { BaseAddress = url, Timeout = System.Threading.Timeout.InfiniteTimeSpan };
        Stream stream;
        try
        {
            stream = await http.GetStreamAsync(new Uri(path, UriKind.Relative), cancellation);
        }
        catch (HttpRequestException exception)
        {
            throw Unreachable(exception);
        }

        using var reader = new StreamReader(stream);
        while (await ReadLineAsync(reader, cancellation) is { } line)
        {
            if (line.StartsWith(Data, StringComparison.Ordinal))
            {
                yield return line[Data.Length..];
            }
        }
    }

    private async Task<T> SendAsync<T>(HttpRequestMessage request, JsonTypeInfo<T> type, CancellationToken cancellation)
    {
        try
        {
            using var response = await _http.SendAsync(request, cancellation);
            if (!response.IsSuccessStatusCode)
            {
                throw new HostRefusedException(await ExplainAsync(response, cancellation));
            }

            return await response.Content.ReadFromJsonAsync(type, cancellation)
                ?? throw new JsonException("the answer is empty");
        }
        catch (HttpRequestException exception)
        {
            throw Unreachable(exception);
        }
        catch (TaskCanceledException exception) when (!cancellation.IsCancellationRequested)
        {
            throw new HostUnreachableException($"the host at {url} did not answer within {Timeout.TotalSeconds} s.", exception);
        }
        catch (JsonException exception)
        {
            throw new HostUnreachableException($"what answers at {url} is no Kvcached host: {exception.Message}", exception);
        }
    }

    public void Dispose() => _http.Dispose();

    private HostUnreachableException Unreachable(HttpRequestException exception) =>
        new($"no host answers at {url}: {exception.Message.TrimEnd('.')}. Start one, or name another with --url.", exception);

    private async Task<string?> ReadLineAsync(StreamReader reader, CancellationToken cancellation)
    {
        try
        {
            return await reader.ReadLineAsync(cancellation);
        }
        catch (IOException exception)
        {
            throw new HostUnreachableException($"the host at {url} went away: {exception.Message}", exception);
        }
    }

    private async Task<string> ExplainAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        try
        {
            var problem = await response.Content.ReadFromJsonAsync(ManagementJsonContext.Default.ProblemView, cancellation);
            return $"{problem!.Title}: {problem.Detail}";
        }
        catch (JsonException)
        {
            return $"the host at {url} answered {(int)response.StatusCode} {response.ReasonPhrase}";
        }
    }
}
